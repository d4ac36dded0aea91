#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool make_directory(const char *path) {
  return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The directory that bears the socket's name; what is missing of it is made, but for the grandparents. */
static bool make_spool(const char *socket_path, char *out, size_t room) {
  static const char SUFFIX[] = ".sock";
  size_t length = strlen(socket_path);
  if (length > sizeof SUFFIX - 1 && strcmp(socket_path + length - (sizeof SUFFIX - 1), SUFFIX) == 0) {
    length -= sizeof SUFFIX - 1;
  }
  if ((size_t)snprintf(out, room, "%.*s.cni-spool", (int)length, socket_path) >= room) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (make_directory(out)) return true;
  if (errno != ENOENT) return false;
  char parent[PATH_MAX];
  const char *slash = strrchr(out, '/');
  if (slash == NULL || slash == out) return false;
  snprintf(parent, sizeof parent, "%.*s", (int)(slash - out), out);
  return make_directory(parent) && make_directory(out);
}

static bool write_whole(const char *path, const struct buffer *body) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  bool whole = true;
  for (size_t at = 0; whole && at < body->length;) {
    ssize_t count = write(fd, body->bytes + at, body->length - at);
    if (count >= 0) at += (size_t)count;
    else if (errno != EINTR) whole = false;
  }
  if (whole && fsync(fd) != 0) whole = false;
  int error = errno;
  if (close(fd) != 0 && whole) return false;
  errno = error;
  return whole;
}

bool spool_keep(const char *socket_path, const struct buffer *body) {
  char directory[PATH_MAX - 64], unfinished[PATH_MAX], path[PATH_MAX];
  if (!make_spool(socket_path, directory, sizeof directory)) return false;
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  /* In order of time, for the daemon does them in order of name; the process keeps two apart. */
  char name[48];
  snprintf(name, sizeof name, "%012lld%09ld-%d", (long long)time.tv_sec, time.tv_nsec, (int)getpid());
  snprintf(unfinished, sizeof unfinished, "%s/.%s", directory, name);
  snprintf(path, sizeof path, "%s/%s.del", directory, name);
  if (write_whole(unfinished, body) && rename(unfinished, path) == 0) return true;
  int error = errno;
  unlink(unfinished);
  errno = error;
  return false;
}
