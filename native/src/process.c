/* What the process as a whole needs of the system and Node does not offer. */
#include "process.h"

#include "glue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NAME_ROOM 256

/*
 * wipeEnvironment(name): overwrites the variable where the kernel shows it to others (/proc/PID/environ), then
 * removes it. Deleting it from process.env leaves the bytes there.
 */
static napi_value wipe_environment(napi_env env, napi_callback_info info) {
  napi_value argument;
  char name[NAME_ROOM];
  glue_arguments(env, info, 1, &argument);
  if (!glue_text(env, argument, name, sizeof name)) return NULL;
  char *value = getenv(name);
  if (value != NULL) explicit_bzero(value, strlen(value));
  unsetenv(name);
  return glue_undefined(env);
}

/* tryLock(path): the descriptor that holds the lock, or undefined if another holds it. The file is created. */
static napi_value try_lock(napi_env env, napi_callback_info info) {
  napi_value argument;
  char path[PATH_MAX];
  glue_arguments(env, info, 1, &argument);
  if (!glue_text(env, argument, path, sizeof path)) return NULL;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return glue_number(env, fd);
  int error = errno;
  if (fd >= 0) close(fd);
  if (error == EWOULDBLOCK) return glue_undefined(env);
  glue_throw_errno(env, path, error);
  return NULL;
}

/* unlock(descriptor) */
static napi_value unlock(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t fd = -1;
  glue_arguments(env, info, 1, &argument);
  if (napi_get_value_int32(env, argument, &fd) == napi_ok && fd > STDERR_FILENO) close(fd);
  return glue_undefined(env);
}

void process_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "wipeEnvironment", wipe_environment);
  glue_export(env, exports, "tryLock", try_lock);
  glue_export(env, exports, "unlock", unlock);
}
