/* What the kernel is asked to do to network namespaces: requests of netlink and settings under /proc/sys. */
#ifndef WEAVE_KERNEL_STEPS_H
#define WEAVE_KERNEL_STEPS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Steps lie one after another, numbers in the order of this machine:
 *
 *   kind u32 | tolerated u32 | length u32 | length bytes
 *
 * kind = the number of a netlink protocol: the bytes are its messages, and each of them that has NLM_F_ACK is answered.
 * kind = KERNEL_FILE: path, zero byte, and what is written to the file.
 * tolerated = an errno that counts as success, or 0.
 */
#define KERNEL_FILE UINT32_MAX

typedef struct {
  /* 0, or the errno of the step that failed; those after it were not done. */
  int error;
  /* The position of that step; the number of steps if all were done, UINT32_MAX if the namespace cannot be entered. */
  uint32_t step;
  /* What the kernel says beyond the errno; often nothing. */
  char said[128];
  /* The netlink messages that came beside acknowledgements. The caller frees them. */
  uint8_t *replies;
  size_t length, room;
} kernel_outcome;

/*
 * Does the steps in order and stops at the first that fails. `netns` is the path of a network namespace, or null: the
 * one of the calling thread, which stays where it is in any case. Blocks: not for the thread of the event loop.
 */
void kernel_run(const char *netns, const uint8_t *steps, size_t length, kernel_outcome *out);

/* The inode number of the network namespace at `path`; 0 if it is something else, or nothing is there. */
uint64_t kernel_namespace(const char *path);

#endif
