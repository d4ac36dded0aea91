/* What the kernel tells of interfaces (RTM_NEWLINK), and whether it can matter to the addresses of the host. */
#ifndef WEAVE_LINK_NEWS_H
#define WEAVE_LINK_NEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An interface goes up or down, or its cable does; not so of ports of bridges. What cannot be read counts as news. */
bool is_link_news(const uint8_t *payload, size_t length);

#endif
