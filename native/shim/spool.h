/* Calls that are kept for a daemon that is not there. */
#ifndef WEAVE_SPOOL_H
#define WEAVE_SPOOL_H

#include "buffer.h"

/* Keeps `body` beside the socket, where the daemon looks when it starts. False with errno set. */
bool spool_keep(const char *socket_path, const struct buffer *body);

#endif
