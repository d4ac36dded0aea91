/* Holds the wide cipher against a slow one. */
/* For what it keeps to itself. */
#include "../src/wide_cipher.c"

#include "../src/datagram.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ChaCha20-Poly1305 word by word and digit by digit, as RFC 8439 tells it. */

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
  for (int i = 0; i < 8; i++) key[i] = le32(bytes + 4 * i);
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
void check_wide_cipher(void) {
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
