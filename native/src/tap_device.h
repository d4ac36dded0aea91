/* The TAP: frames with a virtio-net header in front (Linux Documentation/networking/tuntap.rst). */
#ifndef WEAVE_TAP_DEVICE_H
#define WEAVE_TAP_DEVICE_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Which step failed goes to `*step`. Returns the descriptor, non-blocking, or -errno. */
int tap_device_open(const char *name, bool super_frames, const char **step);

/* Removes the device. 0 (also if there is none) or -errno. */
int tap_device_delete(const char *name, const char **step);

/*
 * Of a super-frame: TCP with segments of 32 bytes makes so many of 64 KiB. Whoever has a raw socket could ask for segments of
 * one byte, and the host would be busy with nothing else. Those with more are malformed.
 */
#define MOST_SEGMENTS 2048

/* Who has read frames for so many datagrams sends them before reading on. */
#define READ_DATAGRAMS 2048

/* What one frame read from the TAP is like. */
typedef struct {
  uint32_t length;
  /* Length of the largest frame that it will be cut into. */
  uint32_t segment;
  /* How many it will be cut into. */
  uint32_t segments;
  uint8_t flags;
} tap_frame;

typedef enum { TAP_FRAME, TAP_EMPTY, TAP_MALFORMED, TAP_GONE } tap_read_result;

/* What the device puts before a frame. */
#define TAP_HEADER sizeof(struct virtio_net_hdr)

/*
 * The frame begins at `into + TAP_HEADER`; there is room for one of LONGEST_FRAME, and what is longer is cut off. A checksum
 * that the far end cannot complete itself is complete afterwards.
 */
tap_read_result tap_device_read(int fd, uint8_t *into, tap_frame *out);

typedef enum { TAP_WRITTEN, TAP_QUEUE_FULL, TAP_REFUSED, TAP_WRITE_GONE } tap_write_result;

/* Writes one frame; `flags` as of the wire. TAP_REFUSED: a partial checksum that stands nowhere. */
tap_write_result tap_device_write(int fd, const uint8_t *frame, size_t length, uint8_t flags);

/* Writes one frame that lies in pieces, the virtio-net header first. */
tap_write_result tap_device_write_parts(int fd, const struct iovec *parts, int count);

#endif
