/* Checks the parts that need neither Node nor the kernel; built with sanitizers and run by test/native/check.test.ts. */
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
/* For what it keeps to itself. */
#include "../src/wide_cipher.c"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 60000
#define LONGEST_SAMPLE 512
#define CHECK(condition) check((condition), #condition, __LINE__)

static void check(bool holds, const char *what, int line) {
  if (holds) return;
  printf("line %d: not so: %s\n", line, what);
  exit(1);
}

static uint32_t random_state = 0x9e3779b9;

/* xorshift32: the same in every run. */
static uint32_t random_below(uint32_t limit) {
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

/* ChaCha20-Poly1305 word by word and digit by digit, as RFC 8439 tells it. */

static uint32_t word(const uint8_t *at) {
  return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static void slow_quarter(uint32_t *x, int a, int b, int c, int d) {
  static const int turns[] = {16, 12, 8, 7};
  for (int i = 0; i < 2; i++) {
    int first = turns[2 * i], second = turns[2 * i + 1];
    x[a] += x[b];
    x[d] = (x[d] ^ x[a]) << first | (x[d] ^ x[a]) >> (32 - first);
    x[c] += x[d];
    x[b] = (x[b] ^ x[c]) << second | (x[b] ^ x[c]) >> (32 - second);
  }
}

static void slow_block(const uint32_t key[8], uint32_t number, const uint32_t nonce[3], uint8_t out[64]) {
  uint32_t first[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];
  memcpy(first + 4, key, 32);
  first[12] = number;
  memcpy(first + 13, nonce, 12);
  memcpy(x, first, sizeof x);
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 4; i++) slow_quarter(x, i, 4 + i, 8 + i, 12 + i);
    for (int i = 0; i < 4; i++) slow_quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  for (int i = 0; i < 16; i++) {
    for (int byte = 0; byte < 4; byte++) out[4 * i + byte] = (uint8_t)((x[i] + first[i]) >> 8 * byte);
  }
}

#define DIGITS 17
/* To below 2^130, by digits of eight bits. */
static void slow_carry(uint32_t h[DIGITS]) {
  for (int pass = 0; pass < 2; pass++) {
    uint32_t carry = 0;
    for (int i = 0; i < DIGITS; i++) {
      carry += h[i];
      h[i] = carry & (i == DIGITS - 1 ? 3 : 255);
      carry >>= i == DIGITS - 1 ? 2 : 8;
    }
    h[0] += 5 * carry;
  }
}

/* One-time key, bytes, tag. */
static void slow_mac(const uint8_t key[32], const uint8_t *bytes, size_t length, uint8_t tag[16]) {
  uint32_t h[DIGITS] = {0}, r[DIGITS] = {0};
  for (int i = 0; i < 16; i++) r[i] = key[i] & (i % 4 == 3 ? 15 : i % 4 == 0 && i > 0 ? 252 : 255);
  for (size_t at = 0; at < length; at += 16) {
    size_t here = length - at < 16 ? length - at : 16;
    uint32_t product[DIGITS] = {0};
    for (size_t i = 0; i < here; i++) h[i] += bytes[at + i];
    h[here] += 1;
    for (int i = 0; i < DIGITS; i++) {
      /* 2^136 is 320 modulo 2^130 - 5. */
      for (int j = 0; j < DIGITS; j++) product[i] += j <= i ? h[j] * r[i - j] : 320 * h[j] * r[DIGITS + i - j];
    }
    memcpy(h, product, sizeof h);
    slow_carry(h);
  }
  slow_carry(h);
  uint32_t reduced[DIGITS], carry = 5;
  for (int i = 0; i < DIGITS; i++) {
    carry += h[i];
    reduced[i] = carry & (i == DIGITS - 1 ? 3 : 255);
    carry >>= i == DIGITS - 1 ? 2 : 8;
  }
  const uint32_t *least = carry > 0 ? reduced : h;
  for (uint32_t i = 0, sum = 0; i < 16; i++, sum >>= 8) {
    sum += least[i] + key[16 + i];
    tag[i] = (uint8_t)sum;
  }
}

/* The vectors of RFC 8439, sections 2.3.2 and 2.5.2. */
static void check_slow_cipher(void) {
  static const uint8_t block[] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4};
  static const uint8_t secret[32] = {0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33, 0x7f, 0x44, 0x52,
                                     0xfe, 0x42, 0xd5, 0x06, 0xa8, 0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d,
                                     0xb2, 0xfd, 0x4a, 0xbf, 0xf6, 0xaf, 0x41, 0x49, 0xf5, 0x1b};
  static const uint8_t want[16] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6,
                                   0xc2, 0x2b, 0x8b, 0xaf, 0x0c, 0x01, 0x27, 0xa9};
  static const char *text = "Cryptographic Forum Research Group";
  const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0};
  uint8_t bytes[32], out[64], tag[16];
  uint32_t key[8];
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
  for (int i = 0; i < 8; i++) key[i] = word(bytes + 4 * i);
  slow_block(key, 1, nonce, out);
  CHECK(memcmp(out, block, sizeof block) == 0);
  slow_mac(secret, (const uint8_t *)text, strlen(text), tag);
  CHECK(memcmp(tag, want, sizeof tag) == 0);
}

#define LONGEST_TEXT 1500

static void slow_seal(const uint32_t key[8], uint64_t counter, uint8_t *text, size_t length) {
  const uint32_t nonce[3] = {0, (uint32_t)counter, (uint32_t)(counter >> 32)};
  static uint8_t macced[LONGEST_TEXT + 32];
  size_t padded = (length + 15) / 16 * 16;
  uint8_t block[64], secret[64];
  slow_block(key, 0, nonce, secret);
  for (size_t i = 0; i < length; i++) {
    if (i % 64 == 0) slow_block(key, (uint32_t)(1 + i / 64), nonce, block);
    text[i] ^= block[i % 64];
  }
  memset(macced, 0, padded + 16);
  memcpy(macced, text, length);
  for (int i = 0; i < 8; i++) macced[padded + 8 + (size_t)i] = (uint8_t)((uint64_t)length >> 8 * i);
  slow_mac(secret, macced, padded + 16, text + length);
}

/* Texts as they lie in a datagram each, with what is around them. */
static void check_wide_texts(size_t count, size_t length) {
  enum { AROUND = 7, TAG = WIDE_TAG };
  size_t stride = AROUND + length + TAG;
  uint8_t *got = malloc(count * stride), *plain = malloc(count * stride), *sealed = malloc(count * stride);
  wide_text texts[WIDE_LANES];
  uint32_t key[8];
  CHECK(got != NULL && plain != NULL && sealed != NULL);
  for (int i = 0; i < 8; i++) key[i] = random_below(UINT32_MAX);
  for (size_t i = 0; i < count * stride; i++) plain[i] = (uint8_t)random_below(256);
  memcpy(got, plain, count * stride);
  memcpy(sealed, plain, count * stride);
  for (size_t i = 0; i < count; i++) {
    texts[i] = (wide_text){(uint64_t)random_below(UINT32_MAX) << random_below(21), got + i * stride + AROUND};
    slow_seal(key, texts[i].counter, sealed + i * stride + AROUND, length);
  }
  wide_cipher_seal(key, texts, count, length);
  CHECK(memcmp(got, sealed, count * stride) == 0);
  uint32_t forged = random_below(1u << count);
  for (size_t i = 0; i < count; i++) {
    size_t bit = random_below((uint32_t)(length + TAG) * 8);
    memcpy(sealed + i * stride + AROUND, plain + i * stride + AROUND, length);
    if ((forged >> i & 1) != 0) texts[i].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  CHECK(wide_cipher_open(key, texts, count, length) == (wide_lanes)(((1u << count) - 1) & ~forged));
  for (size_t i = 0; i < count; i++) {
    if ((forged >> i & 1) != 0) memcpy(got + i * stride + AROUND, sealed + i * stride + AROUND, length + TAG);
  }
  CHECK(memcmp(got, sealed, count * stride) == 0);
  free(got), free(plain), free(sealed);
}

/* Sums that keys and texts do not lead to in any time: just below, at, and above 2^130 - 5. */
static void check_reduction(void) {
#ifdef __x86_64__
  const uint64_t limb = (UINT64_C(1) << 44) - 1, last = (UINT64_C(1) << 42) - 1;
  for (int k = -6; k < 12; k++) {
    /* 2^130 - 5 + k, to which 0 or 2^128 - 1 is added. */
    for (int high = 0; high < 2; high++) {
      uint64_t low = limb + 1 - 5 + (uint64_t)(int64_t)k, want[2] = {(uint64_t)(int64_t)k, 0}, got[2];
      if (k < 0) want[0] = 0 - (uint64_t)(5 - k), want[1] = UINT64_MAX;
      write_tag(low, limb, last, high ? UINT64_MAX : 0, high ? UINT64_MAX : 0, (uint8_t *)got);
      if (high && want[0]-- == 0) want[1]--;
      CHECK(got[0] == want[0] && got[1] == want[1]);
    }
  }
#endif
}

#ifdef __x86_64__
/* Sums of pieces and keys at the ends of what their limbs hold, of which texts give but the middle. */
WIDE static void check_extremes(void) {
  enum { PIECES_MOST = 9 };
  uint8_t bytes[HALF][PIECE * PIECES_MOST], key[HALF][2 * PIECE], want[WIDE_TAG], got[WIDE_TAG];
  size_t pieces = 1 + random_below(PIECES_MOST);
  for (size_t lane = 0; lane < HALF; lane++) {
    /* Of all zeros or ones, or most of it. */
    for (size_t i = 0; i < sizeof key[0]; i++) key[lane][i] = (uint8_t)(random_below(8) > 0 ? 255 : random_below(256));
    uint8_t most = random_below(4) > 0 ? 255 : 0;
    for (size_t i = 0; i < sizeof bytes[0]; i++) bytes[lane][i] = (uint8_t)(random_below(16) > 0 ? most : random_below(256));
  }
  uint64_t words[2 * PIECES_MOST][HALF], r[2][HALF], limbs[3][HALF];
  for (size_t lane = 0; lane < HALF; lane++) {
    for (size_t i = 0; i < 2 * pieces; i++) memcpy(&words[i][lane], bytes[lane] + 8 * i, 8);
    for (size_t i = 0; i < 2; i++) memcpy(&r[i][lane], key[lane] + 8 * i, 8);
  }
  half_macs sum;
  half_begin(&sum, _mm512_loadu_si512(r[0]), _mm512_loadu_si512(r[1]));
  for (size_t i = 0; i < pieces;) {
    __m512i next[4];
    size_t taken = pieces - i >= 2 && random_below(2) == 0 ? 2 : 1;
    for (size_t word_of = 0; word_of < 2 * taken; word_of++) next[word_of] = _mm512_loadu_si512(words[2 * i + word_of]);
    if (taken == 2) half_add_two(&sum, next);
    else half_add(&sum, next);
    i += taken;
  }
  for (int i = 0; i < 3; i++) _mm512_storeu_si512(limbs[i], sum.sum.limb[i]);
  for (size_t lane = 0; lane < HALF; lane++) {
    uint64_t added[2];
    memcpy(added, key[lane] + PIECE, sizeof added);
    write_tag(limbs[0][lane], limbs[1][lane], limbs[2][lane], added[0], added[1], got);
    slow_mac(key[lane], bytes[lane], PIECE * pieces, want);
    CHECK(memcmp(got, want, sizeof want) == 0);
  }
}
#endif

/* Nothing is read or written beyond a tag: sanitizers do not see what masks let through. */
static void check_end_of_memory(void) {
  const uint32_t key[8] = {1};
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
  for (size_t length = 0; length < 200; length++) {
    wide_text last = {length, pages + page - WIDE_TAG - length};
    wide_cipher_seal(key, &last, 1, length);
    CHECK(wide_cipher_open(key, &last, 1, length) == 1);
  }
  munmap(pages, 2 * page);
}

/* Every length up to four blocks and more, in as many lanes as it comes, and full lanes of the usual lengths. */
static void check_wide_cipher(void) {
  check_slow_cipher();
  check_reduction();
  if (!wide_cipher_available()) return (void)printf("this processor cannot run the wide cipher\n");
#ifdef __x86_64__
  for (int i = 0; i < 2000; i++) check_extremes();
#endif
  check_end_of_memory();
  for (size_t length = 0; length < 300; length++) check_wide_texts(1 + random_below(WIDE_LANES), length);
  for (size_t length = 1300; length < LONGEST_TEXT; length += 1 + random_below(9)) check_wide_texts(WIDE_LANES, length);
  for (size_t count = 1; count <= WIDE_LANES; count++) check_wide_texts(count, 1404);
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
