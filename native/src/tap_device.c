#include "tap_device.h"

#include "frame_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Frames up to this length are copied behind their header: that takes less than having the kernel gather two pieces. */
#define SHORT_FRAME 2048

/* A device made without multi-queue refuses it for ever, so it is there from the start. */
#define DEVICE_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)

static int attach(const char *name, const char **step);
static int set_offloads(int fd, bool super_frames, const char **step);
static bool describe(const struct virtio_net_hdr *header, uint8_t *frame, tap_frame *out);
static bool describe_checksum(const struct virtio_net_hdr *header, uint8_t *frame, const frame_layout *layout,
                              tap_frame *out);
static bool describe_partial(const uint8_t *frame, size_t length, struct virtio_net_hdr *header);
static tap_write_result write_short(int fd, const struct virtio_net_hdr *header, const uint8_t *frame, size_t length);
static tap_write_result result_of(ssize_t done);

int tap_device_open(const char *name, bool super_frames, const char **step) {
  int fd = attach(name, step);
  if (fd < 0) return fd;
  *step = "make it persistent";
  if (ioctl(fd, TUNSETPERSIST, 1) == 0 && set_offloads(fd, super_frames, step) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int tap_device_delete(const char *name, const char **step) {
  int fd = attach(name, step);
  if (fd < 0) return fd;
  *step = "delete it";
  int result = ioctl(fd, TUNSETPERSIST, 0) == 0 ? 0 : -errno;
  close(fd);
  return result;
}

static int attach(const char *name, const char **step) {
  *step = "open /dev/net/tun";
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct ifreq request = {.ifr_flags = DEVICE_FLAGS};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  *step = "attach to it";
  if (ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

/* Both last only as long as this descriptor is attached. */
static int set_offloads(int fd, bool super_frames, const char **step) {
  int header = sizeof(struct virtio_net_hdr);
  unsigned long offloads = TUN_F_CSUM;
  if (super_frames) offloads |= TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  *step = "set its header size";
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) != 0) return -1;
  *step = "set its offloads";
  return ioctl(fd, TUNSETOFFLOAD, offloads);
}

tap_read_result tap_device_read(int fd, uint8_t *into, tap_frame *out) {
  ssize_t got;
  do got = read(fd, into, TAP_HEADER + LONGEST_FRAME);
  while (got < 0 && errno == EINTR);
  /* The kernel consumes a frame that it cannot describe and says EINVAL; only these two mean the device. */
  if (got < 0) return errno == EAGAIN ? TAP_EMPTY : errno == EBADFD || errno == EBADF ? TAP_GONE : TAP_MALFORMED;
  if ((size_t)got < TAP_HEADER + ETHERNET_HEADER) return TAP_MALFORMED;
  struct virtio_net_hdr header;
  memcpy(&header, into, sizeof header);
  out->length = (uint32_t)((size_t)got - TAP_HEADER);
  return describe(&header, into + TAP_HEADER, out) ? TAP_FRAME : TAP_MALFORMED;
}

static bool describe(const struct virtio_net_hdr *header, uint8_t *frame, tap_frame *out) {
  frame_layout layout;
  bool known = frame_layout_parse(frame, out->length, &layout);
  out->segment = out->length;
  out->segments = 1;
  out->flags = 0;
  if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
    return describe_checksum(header, frame, known && layout.plain ? &layout : NULL, out);
  /* The kernel hands over uncut what the offloads allow: TCP. */
  if (!known || layout.protocol != PROTOCOL_TCP || header->gso_size == 0) return false;
  /* Where it may not stay partial, cutting completes it. */
  out->flags = layout.plain ? FLAG_CHECKSUM_PARTIAL : 0;
  uint32_t segment = layout.payload + header->gso_size;
  if (segment >= out->length) return true;
  out->segment = segment;
  out->segments = (out->length - layout.payload + header->gso_size - 1) / header->gso_size;
  return out->segments <= MOST_SEGMENTS;
}

static bool describe_checksum(const struct virtio_net_hdr *header, uint8_t *frame, const frame_layout *layout,
                              tap_frame *out) {
  if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) return true;
  if (layout != NULL && header->csum_start == layout->transport && header->csum_offset == layout->checksum) {
    out->flags = FLAG_CHECKSUM_PARTIAL;
    return true;
  }
  return frame_complete_checksum(frame, out->length, header->csum_start, header->csum_offset);
}

tap_write_result tap_device_write(int fd, const uint8_t *frame, size_t length, uint8_t flags) {
  struct virtio_net_hdr header;
  memset(&header, 0, sizeof header);
  if ((flags & FLAG_CHECKSUM_PARTIAL) != 0 && !describe_partial(frame, length, &header)) return TAP_REFUSED;
  if (length <= SHORT_FRAME) return write_short(fd, &header, frame, length);
  struct iovec parts[] = {{&header, sizeof header}, {(void *)(uintptr_t)frame, length}};
  return tap_device_write_parts(fd, parts, 2);
}

static tap_write_result write_short(int fd, const struct virtio_net_hdr *header, const uint8_t *frame, size_t length) {
  uint8_t whole[TAP_HEADER + SHORT_FRAME];
  memcpy(whole, header, TAP_HEADER);
  memcpy(whole + TAP_HEADER, frame, length);
  ssize_t done;
  do done = write(fd, whole, TAP_HEADER + length);
  while (done < 0 && errno == EINTR);
  return result_of(done);
}

tap_write_result tap_device_write_parts(int fd, const struct iovec *parts, int count) {
  ssize_t done;
  do done = writev(fd, parts, count);
  while (done < 0 && errno == EINTR);
  return result_of(done);
}

static tap_write_result result_of(ssize_t done) {
  if (done >= 0) return TAP_WRITTEN;
  if (errno == EBADFD || errno == EBADF) return TAP_WRITE_GONE;
  /* EIO is a device that is down: what it would lose anyway. */
  return errno == EINVAL ? TAP_REFUSED : TAP_QUEUE_FULL;
}

static bool describe_partial(const uint8_t *frame, size_t length, struct virtio_net_hdr *header) {
  frame_layout layout;
  if (!frame_layout_parse(frame, length, &layout) || !layout.plain) return false;
  header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  header->csum_start = (uint16_t)layout.transport;
  header->csum_offset = (uint16_t)layout.checksum;
  return true;
}
