/*
 * The program in /opt/cni/bin: hands the environment and standard input of a CNI call to the daemon and prints what
 * it answers. It decides nothing about networks. What it answers by itself: VERSION, and what to do when the daemon
 * is not there.
 */
#include "buffer.h"
#include "call.h"
#include "clock.h"
#include "json_text.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/weave-ts/api.sock"
#define NEWEST_VERSION "1.1.0"
#define SUPPORTED_VERSIONS "[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]"

#define INPUT_LIMIT (4u << 20)
/* Milliseconds; tests build with less. */
#ifndef PATIENCE
#define PATIENCE 10000
#endif
#ifndef DEADLINE
#define DEADLINE 30000
#endif
/* What waits for nobody, such as the writing of an answer that nobody reads, is cut off so much later. */
#define GRACE 2000
/* Whoever asks for the state of a daemon that hangs wants to know that soon. */
#define STATUS_DEADLINE (DEADLINE < 3000 ? DEADLINE : 3000)

/* Of the CNI specification; 100 is ours. */
enum {
  BAD_ENVIRONMENT = 4,
  INPUT_OUTPUT = 5,
  UNDECODABLE = 6,
  BAD_CONFIGURATION = 7,
  TRY_LATER = 11,
  UNAVAILABLE = 50,
  FAILED = 100
};

static char cni_version[32] = NEWEST_VERSION;

/* Prints the error and returns the exit code. `details` may be null. */
static int fail(int code, const char *message, const char *details) {
  printf("{\"cniVersion\":");
  json_print(stdout, cni_version);
  printf(",\"code\":%d,\"msg\":", code);
  json_print(stdout, message);
  if (details != NULL) {
    printf(",\"details\":");
    json_print(stdout, details);
  }
  printf("}\n");
  fflush(stdout);
  return 1;
}

static bool is_supported(const char *version) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\"", version);
  return strstr(SUPPORTED_VERSIONS, quoted) != NULL;
}

static int answer_version(const struct buffer *input) {
  char asked[64];
  enum json_found found = json_text(input->bytes, input->length, "cniVersion", asked, sizeof asked);
  if (found != JSON_TEXT) strcpy(asked, NEWEST_VERSION);
  printf("{\"cniVersion\":");
  json_print(stdout, asked);
  printf(",\"supportedVersions\":" SUPPORTED_VERSIONS "}\n");
  return fflush(stdout) == 0 ? 0 : 1;
}

static void append_variable(struct buffer *body, const char *name, const char *value) {
  if (value == NULL) return;
  buffer_append(body, name, strlen(name));
  buffer_append(body, "=", 1);
  buffer_append(body, value, strlen(value) + 1);
}

/* The form is that of plugin/cni/call-body.ts. */
static struct buffer make_body(const char *program, const struct buffer *input) {
  static const char *const names[] = {
      "CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"};
  struct buffer body = {0};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) append_variable(&body, names[i], getenv(names[i]));
  append_variable(&body, "WEAVE_TS_PROGRAM", program);
  buffer_append(&body, "", 1);
  if (input->length > 0) buffer_append(&body, input->bytes, input->length);
  return body;
}

static int print_answer(const struct buffer *answer, int exit_code) {
  if (answer->length == 0) return exit_code;
  bool whole = fwrite(answer->bytes, 1, answer->length, stdout) == answer->length && fflush(stdout) == 0;
  return whole ? exit_code : 1;
}

/* No answer came. A DEL is kept for later and counts as done: whoever deletes a pod need not wait for us. */
static int without_answer(const char *command, const char *socket, const struct buffer *body, const char *why) {
  char message[PATH_MAX + 128];
  if (strcmp(command, "DEL") == 0) {
    if (spool_keep(socket, body)) return 0;
    snprintf(message, sizeof message, "%s, and the DEL could not be kept for later", why);
    return fail(INPUT_OUTPUT, message, strerror(errno));
  }
  return fail(strcmp(command, "STATUS") == 0 ? UNAVAILABLE : TRY_LATER, why, NULL);
}

static int run(
    const char *command,
    const char *program,
    const struct buffer *input,
    long long patience,
    long long deadline) {
  char socket[PATH_MAX], why[PATH_MAX + 64];
  enum json_found found = json_text(input->bytes, input->length, "socket", socket, sizeof socket);
  if (found == JSON_UNUSABLE) return fail(BAD_CONFIGURATION, "socket must be a path in plain characters", NULL);
  if (found == JSON_NONE) {
    const char *named = getenv("WEAVE_TS_SOCKET");
    snprintf(socket, sizeof socket, "%s", named != NULL && named[0] != '\0' ? named : DEFAULT_SOCKET);
  }
  struct buffer body = make_body(program, input), answer = {0};
  bool waits = strcmp(command, "STATUS") != 0 && strcmp(command, "DEL") != 0;
  enum call_outcome outcome = call(socket, &body, waits ? patience : 0, deadline, &answer);
  int error = errno;
  switch (outcome) {
    case CALL_DONE:
      return print_answer(&answer, 0);
    case CALL_REFUSED:
      return print_answer(&answer, 1);
    case CALL_ABSENT:
      snprintf(why, sizeof why, "no daemon answers on %s: start one with \"weave-ts launch\"", socket);
      return without_answer(command, socket, &body, why);
    case CALL_BROKEN:
      snprintf(
          why, sizeof why, "the daemon on %s %s", socket,
          error == ETIMEDOUT ? "did not answer in time" : "broke off its answer");
      return without_answer(command, socket, &body, why);
    case CALL_IMPOSSIBLE:
      snprintf(why, sizeof why, "the socket %s cannot be opened", socket);
      return fail(INPUT_OUTPUT, why, strerror(error));
    case CALL_STRANGE:
      break;
  }
  snprintf(why, sizeof why, "what answers on %s is not this daemon, or one of another version", socket);
  return fail(FAILED, why, NULL);
}

static bool is_command(const char *text) {
  static const char *const commands[] = {"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(text, commands[i]) == 0) return true;
  }
  return false;
}

/* What is closed would be taken by the socket or a file, and be read and written as standard input and output. */
static void open_standard(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

/* Whatever the caller ignored or blocked is inherited: a signal ends this at once, and the alarm does in the end. */
static void limit_life(long long milliseconds) {
  static const int deadly[] = {SIGHUP, SIGINT, SIGTERM, SIGALRM};
  struct itimerval limit = {.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000}};
  sigset_t none;
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setitimer(ITIMER_REAL, &limit, NULL);
}

int main(int argc, char **argv) {
  long long began = clock_now();
  open_standard();
  limit_life(DEADLINE + GRACE);
  const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
  const char *program = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "weave-ts";
  const char *command = getenv("CNI_COMMAND");
  if (command == NULL || command[0] == '\0') {
    fprintf(stderr, "weave-ts CNI plugin; protocol versions " SUPPORTED_VERSIONS "\n");
    return 0;
  }
  struct buffer input = {0};
  long long deadline = began + (strcmp(command, "STATUS") == 0 ? STATUS_DEADLINE : DEADLINE);
  bool whole = buffer_read_all(&input, STDIN_FILENO, INPUT_LIMIT, deadline);
  int error = errno;
  char version[sizeof cni_version];
  bool named = json_text(input.bytes, input.length, "cniVersion", version, sizeof version) == JSON_TEXT;
  if (named && is_supported(version)) strcpy(cni_version, version);
  if (!whole && error == EFBIG) return fail(UNDECODABLE, "the configuration is longer than 4 MiB", NULL);
  if (!whole) return fail(INPUT_OUTPUT, "standard input cannot be read", strerror(error));
  if (!is_command(command)) return fail(BAD_ENVIRONMENT, "CNI_COMMAND is none of ADD, DEL, CHECK, GC, STATUS, VERSION", command);
  if (strcmp(command, "VERSION") == 0) return answer_version(&input);
  return run(command, program, &input, began + PATIENCE, deadline);
}
