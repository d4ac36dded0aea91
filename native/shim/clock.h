/* Time in milliseconds of the monotonic clock. */
#ifndef WEAVE_CLOCK_H
#define WEAVE_CLOCK_H

#include <stdbool.h>

long long clock_now(void);

/* Waits until `fd` is ready for `events`. False with errno set, ETIMEDOUT if `deadline` passes first. */
bool clock_poll(int fd, short events, long long deadline);

/* Returns early if a signal comes. */
void clock_sleep(long long milliseconds);

#endif
