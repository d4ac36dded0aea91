/* Checks the parts that need neither Node nor the kernel; built with sanitizers and run by test/native/check.test.ts. */
#include "check.h"

#include "../src/bytes.h"
#include "../src/cut.h"
#include "../src/flow_table.h"
#include "../src/frame_layout.h"
#include "../src/join.h"
#include "../src/link_news.h"
#include "../src/replay_window.h"
#include "../src/stand_in.h"
#include "../src/tap_device.h"
#include "../src/tap_writer.h"
#include "../src/u32_map.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ROUNDS 60000
#define LONGEST_SAMPLE 512

void check(bool holds, const char *what, int line) {
  if (holds) return;
  printf("line %d: not so: %s\n", line, what);
  exit(1);
}

static uint32_t random_state = 0x9e3779b9;

/* xorshift32: the same in every run. */
uint32_t random_below(uint32_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state % limit;
}

/* TCP over IPv4 or IPv6, with tags, options and an extension header as it comes. Returns its length. */
static uint32_t sample_frame(uint8_t *frame) {
  bool v4 = random_below(2) == 0, extended = random_below(2) == 0;
  uint32_t at = ETHERNET_HEADER - 2, options = random_below(11) * 4, payload = random_below(300);
  for (uint32_t i = 0; i < LONGEST_SAMPLE; i++) frame[i] = (uint8_t)random_below(256);
  for (uint32_t tags = random_below(3); tags > 0; tags--, at += 4) put_be16(frame + at, 0x8100);
  put_be16(frame + at, v4 ? 0x0800 : 0x86dd);
  uint8_t *ip = frame + at + 2;
  uint8_t *tcp = ip + (v4 ? 20 : extended ? 48 : 40);
  uint32_t bytes = (uint32_t)(tcp - ip) + 20 + options + payload;
  ip[0] = v4 ? 0x45 : 0x60;
  put_be16(ip + (v4 ? 2 : 4), (uint16_t)(v4 ? bytes : bytes - 40));
  if (v4) {
    put_be16(ip + 6, 0x4000);
    ip[9] = PROTOCOL_TCP;
  } else {
    ip[6] = extended ? 60 : PROTOCOL_TCP;
    if (extended) put_be16(ip + 40, PROTOCOL_TCP << 8);
  }
  tcp[12] = (uint8_t)((20 + options) / 4 << 4);
  tcp[13] = 0x10;
  return at + 2 + bytes;
}

/* Bytes of any kind are cut, joined and summed within their bounds: the sanitizers watch exact allocations. */
static void check_hostile_frames(void) {
  static uint8_t frame[LONGEST_SAMPLE];
  static joiner join;
  int cuts = 0, joins = 0;
  for (int round = 0; round < ROUNDS; round++) {
    uint32_t length = sample_frame(frame);
    for (uint32_t i = random_below(3); i > 0; i--) frame[random_below(90)] = (uint8_t)random_below(256);
    if (random_below(2) == 0) length = random_below(length + 1);
    uint8_t *exact = malloc(length + 1);
    uint8_t *end = exact + 1 + length;
    memcpy(end - length, frame, length);
    cutter cut;
    if (cut_begin(&cut, end - length, length, random_below(length + 2))) {
      for (uint32_t next = cut_next_length(&cut); next > 0; next = cut_next_length(&cut), cuts++) {
        uint8_t *out = malloc(next);
        cut_next(&cut, out);
        free(out);
      }
    }
    if (join_begin(&join, end - length, length, FLAG_CHECKSUM_PARTIAL)) {
      int parts;
      join_add(&join, end - length, length, FLAG_CHECKSUM_PARTIAL);
      join_take(&join, &parts);
      joins++;
    }
    frame_complete_checksum(end - length, length, random_below(length + 3), random_below(40));
    free(exact);
  }
  CHECK(cuts > ROUNDS / 10 && joins > ROUNDS / 20);
}

static void check_replay_window(void) {
  static replay_window window;
  static bool seen[4 * REPLAY_COUNTERS];
  uint64_t highest = 0;
  bool any = false;
  for (int round = 0; round < 400000; round++) {
    uint64_t base = (uint64_t)round / 2;
    uint64_t counter = base + random_below(REPLAY_COUNTERS / 2) * (random_below(3) == 0);
    replay_verdict expected = COUNTER_NEW;
    if (any && counter <= highest && highest - counter >= REPLAY_COUNTERS) expected = COUNTER_TOO_OLD;
    else if (seen[counter]) expected = COUNTER_REPLAYED;
    CHECK(replay_window_accept(&window, counter) == expected);
    if (expected == COUNTER_NEW) seen[counter] = true;
    if (!any || counter > highest) highest = counter;
    any = true;
  }
}

static void check_map(void) {
  static int values[256];
  bool present[256] = {false};
  u32_map map = {0};
  size_t count = 0;
  for (int round = 0; round < 200000; round++) {
    uint32_t name = random_below(256);
    uint32_t key = name * (name % 2 == 0 ? 1 : 0x01000193);
    if (random_below(2) == 0) {
      CHECK(u32_map_put(&map, key, &values[name]));
      count += !present[name];
      present[name] = true;
    } else {
      CHECK(u32_map_take(&map, key) == (present[name] ? &values[name] : NULL));
      count -= present[name];
      present[name] = false;
    }
    uint32_t other = random_below(256);
    uint32_t other_key = other * (other % 2 == 0 ? 1 : 0x01000193);
    CHECK(u32_map_get(&map, other_key) == (present[other] ? &values[other] : NULL));
    CHECK(map.count == count);
  }
  u32_map_free(&map);
}

/* A decision is found by its addresses until its lease is over, and as long as no two others have driven it out. */
static void check_flows(void) {
  static flow_table table;
  flow decision = {.session = 7};
  const uint64_t now = flow_now();
  CHECK(now > 0);
  memcpy(decision.macs, "abcdefghijkl", FLOW_MACS);
  CHECK(flow_find(&table, decision.macs, now) == NULL);
  flow_remember(&table, &decision, now);
  const flow *found = flow_find(&table, decision.macs, now + FLOW_LEASE_MS - 1);
  CHECK(found != NULL && found->session == 7);
  CHECK(flow_find(&table, decision.macs, now + FLOW_LEASE_MS) == NULL);
  for (int i = 0; i < FLOW_MACS; i++) {
    uint8_t other[FLOW_MACS];
    memcpy(other, decision.macs, FLOW_MACS);
    other[i] ^= 1;
    CHECK(flow_find(&table, other, now) == NULL);
  }
  decision.session = 8;
  flow_remember(&table, &decision, now);
  CHECK(flow_find(&table, decision.macs, now)->session == 8);
  flow_forget_all(&table);
  CHECK(flow_find(&table, decision.macs, now) == NULL);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < FLOW_SLOTS / 4; i++) {
    flow each = {.session = i};
    put_be32(each.macs + 2, random_below(UINT32_MAX));
    put_be32(each.macs + 8, i);
    flow_remember(&table, &each, now);
    found = flow_find(&table, each.macs, now);
    CHECK(found != NULL && found->session == i);
  }
  for (uint32_t i = 0; i < FLOW_SLOTS; i++) kept += table.slots[i].until > now;
  CHECK(kept > FLOW_SLOTS / 5);
}

/* A TAP that knows joined datagrams or refuses them; it remembers what was written, without the virtio-net header. */
static struct {
  bool knows_datagrams;
  uint32_t singly, joined, refused;
  uint32_t bytes;
  uint8_t written[4 * LONGEST_SAMPLE];
} tap;

static void note_written(const void *bytes, size_t length) {
  CHECK(tap.bytes + length <= sizeof tap.written);
  memcpy(tap.written + tap.bytes, bytes, length);
  tap.bytes += (uint32_t)length;
}

tap_write_result tap_device_write(int fd, const uint8_t *frame, size_t length, uint8_t flags) {
  CHECK(fd == 5 && flags == FLAG_CHECKSUM_PARTIAL);
  note_written(frame, length);
  tap.singly++;
  return TAP_WRITTEN;
}

tap_write_result tap_device_write_parts(int fd, const struct iovec *parts, int count) {
  CHECK(fd == 5);
  const struct virtio_net_hdr *header = parts[0].iov_base;
  if (!tap.knows_datagrams && header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
    tap.refused++;
    return TAP_REFUSED;
  }
  for (int i = 1; i < count; i++) note_written(parts[i].iov_base, parts[i].iov_len);
  tap.joined++;
  return TAP_WRITTEN;
}

/* Where the kernel takes no joined datagrams they all arrive, in order and each by itself, and it is asked but once. */
static void check_refused_datagrams(void) {
  enum { PAYLOAD = 20, HEADERS = ETHERNET_HEADER + 40 + 8, FRAME = HEADERS + PAYLOAD };
  uint8_t frames[3][FRAME] = {{0}};
  for (uint8_t i = 0; i < 3; i++) {
    uint8_t *ip = frames[i] + ETHERNET_HEADER, *udp = ip + 40;
    put_be16(ip - 2, 0x86dd);
    ip[0] = 0x60;
    put_be16(ip + 4, 8 + PAYLOAD);
    ip[6] = PROTOCOL_UDP;
    put_be16(udp + 4, 8 + PAYLOAD);
    memset(udp + 8, i, PAYLOAD);
  }
  for (int knows = 0; knows < 2; knows++) {
    static tap_writer writer;
    writer = (tap_writer){0};
    memset(&tap, 0, sizeof tap);
    tap.knows_datagrams = knows == 1;
    for (int round = 0; round < 2; round++) {
      for (int i = 0; i < 3; i++) tap_writer_add(&writer, 5, frames[i], FRAME, FLAG_CHECKSUM_PARTIAL);
      tap_writer_end(&writer, 5);
    }
    CHECK(writer.refused == 0 && writer.crowded_out == 0);
    CHECK(tap.singly == (knows ? 0 : 6) && tap.joined == (knows ? 2 : 0));
    CHECK(tap.refused == (knows ? 0 : 1));
    CHECK(tap.bytes == (knows ? 2 * (HEADERS + 3 * PAYLOAD) : 6 * FRAME));
    if (!knows) CHECK(memcmp(tap.written, frames, sizeof frames) == 0);
  }
}

/* A loop of libuv, as far as standing in for it goes: it never has anything to begin. */
static int loop_epoll;

void uv_update_time(struct uv_loop_s *loop) {
  (void)loop;
}

int uv_backend_timeout(const struct uv_loop_s *loop) {
  (void)loop;
  return 1000;
}

int uv_backend_fd(const struct uv_loop_s *loop) {
  (void)loop;
  return loop_epoll;
}

static int watch(unsigned count, uint32_t events) {
  int fd = eventfd(count, EFD_CLOEXEC);
  struct epoll_event event = {.events = events, .data.fd = fd};
  CHECK(epoll_ctl(loop_epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  return fd;
}

/* Packets are waited for in the loop's place, and no message to the loop is lost by it: not at all where it hears but once. */
static void check_stand_in(void) {
  for (int edges = 0; edges < 2; edges++) {
    loop_epoll = epoll_create1(EPOLL_CLOEXEC);
    int packets = watch(1, EPOLLIN), message = watch(0, EPOLLIN | (edges ? (uint32_t)EPOLLET : 0));
    stand_in self = {.socket = packets, .tap = -1};
    CHECK(stand_in_wait(&self) == (edges ? 0 : READY_SOCKET));
    CHECK(eventfd_write(message, 1) == 0);
    CHECK(stand_in_wait(&self) == 0);
    struct epoll_event events[3];
    CHECK(epoll_wait(loop_epoll, events, 3, 0) == 2);
    close(packets);
    close(message);
    close(loop_epoll);
  }
}

static size_t add_attribute(uint8_t *out, unsigned short type, const void *payload, size_t length) {
  struct rtattr head = {.rta_len = (unsigned short)(sizeof head + length), .rta_type = type};
  memcpy(out, &head, sizeof head);
  memcpy(out + sizeof head, payload, length);
  return RTA_ALIGN(sizeof head + length);
}

/* Whether an interface with a master of this kind is news; `of` bytes of the message are there, or all if it is 0. */
static bool is_news_of(const char *kind, size_t of) {
  uint8_t message[256] = {0}, link[64] = {0};
  uint32_t master = 7;
  size_t length = NLMSG_ALIGN(sizeof(struct ifinfomsg));
  length += add_attribute(message + length, IFLA_MASTER, &master, sizeof master);
  size_t room = add_attribute(link, IFLA_INFO_KIND, "veth", sizeof "veth");
  room += add_attribute(link + room, IFLA_INFO_SLAVE_KIND, kind, strlen(kind) + 1);
  length += add_attribute(message + length, IFLA_LINKINFO | NLA_F_NESTED, link, room);
  if (of == 0) of = length;
  uint8_t *exact = malloc(of);
  memcpy(exact, message, of);
  bool news = is_link_news(exact, of);
  free(exact);
  return news;
}

/* Pods come and go as ports of bridges, which is no news; an uplink may have a master, too. */
static void check_link_news(void) {
  CHECK(!is_news_of("bridge", 0) && !is_news_of("openvswitch", 0));
  CHECK(is_news_of("vrf", 0) && is_news_of("bond", 0) && is_news_of("bridges", 0) && is_news_of("", 0));
  for (size_t of = 1; of < 40; of++) CHECK(is_news_of("bridge", of));
}

int main(void) {
  check_wide_cipher();
  check_link_news();
  check_stand_in();
  check_refused_datagrams();
  check_hostile_frames();
  check_replay_window();
  check_map();
  check_flows();
  puts("all of it holds");
  return 0;
}
