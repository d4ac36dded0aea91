#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

long long clock_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

bool clock_poll(int fd, short events, long long deadline) {
  for (;;) {
    long long left = deadline - clock_now();
    struct pollfd one = {.fd = fd, .events = events};
    int ready = poll(&one, 1, left > 0 ? (int)left : 0);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    if (ready == 0 && clock_now() >= deadline) {
      errno = ETIMEDOUT;
      return false;
    }
  }
}

void clock_sleep(long long milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}
