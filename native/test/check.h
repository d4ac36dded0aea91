/* What the checks of native/test have in common. */
#ifndef WEAVE_CHECK_H
#define WEAVE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#define CHECK(condition) check((condition), #condition, __LINE__)

/* Ends the program, naming what does not hold. */
void check(bool holds, const char *what, int line);

/* The same numbers in every run. */
uint32_t random_below(uint32_t limit);

void check_wide_cipher(void);

#endif
