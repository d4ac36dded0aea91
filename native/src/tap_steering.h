/* Which queue of a TAP with several a frame comes out of. */
#ifndef WEAVE_TAP_STEERING_H
#define WEAVE_TAP_STEERING_H

/*
 * Has the kernel choose the queue by the frame alone: a hash of IP addresses, protocol and ports that is the same for both
 * directions and on every host; queue 0 for all that goes to a group or is not IP. By itself the kernel follows the
 * queue that the other direction was written to, so that a flow may change its queue again and again. For the device,
 * until its last queue goes. 0 or -errno; EPERM is a lack of CAP_BPF.
 */
int tap_steering_set(int fd);

#endif
