#include "wide_cipher.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

_Static_assert(WIDE_LANES == 16, "a block has as many words as there are lanes");

#define FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma"
#define WIDE __attribute__((target(FEATURES)))
#define WIDE_INLINE static inline __attribute__((always_inline, target(FEATURES)))

/* Of ChaCha20. */
#define BLOCK 64
#define WORDS 16
#define DOUBLE_ROUNDS 10
/* Of Poly1305, which takes a block in four pieces. */
#define PIECE 16
#define PIECES (BLOCK / PIECE)
/* Lanes of 64 bits: Poly1305 takes the texts in two halves. */
#define HALF (WIDE_LANES / 2)
#define LIMB 44
#define LIMB_MASK ((UINT64_C(1) << LIMB) - 1)
#define LAST_LIMB 42
#define LAST_LIMB_MASK ((UINT64_C(1) << LAST_LIMB) - 1)

/* The key, and the counter of each text by its halves. */
typedef struct {
  const uint32_t *key;
  __m512i low, high;
} streams;

/* A number modulo 2^130 - 5 for each of eight texts, by limbs of 44, 44 and 42 bits: 52 can be multiplied at once. */
typedef struct {
  __m512i limb[3];
} numbers;

/* With 20 times its upper limbs: 2^132 is 20. */
typedef struct {
  numbers of;
  __m512i twenty[3];
} factors;

/* A product by limbs of 52 bits and what is beyond them. */
typedef struct {
  __m512i lower[3], upper[3];
} products;

/* Poly1305 of eight texts: the key, its square, and the sum so far. */
typedef struct {
  factors r, square;
  numbers sum;
} half_macs;

typedef struct {
  half_macs of[2];
  /* What is added to each at the end. */
  uint64_t low[WIDE_LANES], high[WIDE_LANES];
} macs;

/* Of each text 64 bytes: a register for each word, for each text, or, as Poly1305 takes them, for each 8 bytes of a half. */
typedef struct {
  __m512i row[WIDE_LANES];
} rows;

/* What is secret while texts are sealed or opened, beside their key. */
typedef struct {
  rows stream;
  macs sum;
} secrets;

static const uint32_t SIGMA[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

bool wide_cipher_available(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512ifma");
}

WIDE_INLINE __m512i every(uint64_t value) {
  return _mm512_set1_epi64((int64_t)value);
}

/* Poly1305. */

/* Of 128 bits each, by halves. */
WIDE_INLINE numbers numbers_of(__m512i low, __m512i high) {
  const __m512i mask = every(LIMB_MASK);
  __m512i middle = _mm512_or_si512(_mm512_srli_epi64(low, LIMB), _mm512_slli_epi64(high, 64 - LIMB));
  return (numbers){
      {_mm512_and_si512(low, mask), _mm512_and_si512(middle, mask), _mm512_srli_epi64(high, 2 * LIMB - 64)}};
}

/* 16 bytes of each text, with the 2^128 that Poly1305 adds to them. */
WIDE_INLINE numbers piece_of(__m512i low, __m512i high) {
  numbers out = numbers_of(low, high);
  out.limb[2] = _mm512_or_si512(out.limb[2], every(UINT64_C(1) << (128 - 2 * LIMB)));
  return out;
}

WIDE_INLINE numbers plus(const numbers *a, const numbers *b) {
  numbers out;
  for (int i = 0; i < 3; i++) out.limb[i] = _mm512_add_epi64(a->limb[i], b->limb[i]);
  return out;
}

WIDE_INLINE factors factors_of(const numbers *of) {
  const __m512i twenty = every(20);
  factors out = {.of = *of};
  for (int i = 1; i < 3; i++) out.twenty[i] = _mm512_mullo_epi64(of->limb[i], twenty);
  return out;
}

WIDE_INLINE void multiply_limbs(products *sum, int limb, __m512i a, __m512i b) {
  sum->lower[limb] = _mm512_madd52lo_epu64(sum->lower[limb], a, b);
  sum->upper[limb] = _mm512_madd52hi_epu64(sum->upper[limb], a, b);
}

/* Adds a * b. */
WIDE_INLINE void multiply(products *sum, const numbers *a, const factors *b) {
  multiply_limbs(sum, 0, a->limb[2], b->twenty[1]);
  multiply_limbs(sum, 1, a->limb[2], b->twenty[2]);
  multiply_limbs(sum, 2, a->limb[2], b->of.limb[0]);
  multiply_limbs(sum, 0, a->limb[1], b->twenty[2]);
  multiply_limbs(sum, 1, a->limb[1], b->of.limb[0]);
  multiply_limbs(sum, 2, a->limb[1], b->of.limb[1]);
  multiply_limbs(sum, 0, a->limb[0], b->of.limb[0]);
  multiply_limbs(sum, 1, a->limb[0], b->of.limb[1]);
  multiply_limbs(sum, 2, a->limb[0], b->of.limb[2]);
}

/*
 * Of two products at most: what is over the last limb is below 2^50 then, so that the middle limb is below 2^44 + 2^10.
 * With a piece added no limb reaches 2^46, and 20 times a limb none 2^49: all can be multiplied.
 */
WIDE_INLINE numbers reduce(const products *sum) {
  const __m512i mask = every(LIMB_MASK);
  const __m512i *u = sum->upper;
  __m512i l0 = sum->lower[0], l1 = sum->lower[1], l2 = sum->lower[2];
  l1 = _mm512_add_epi64(l1, _mm512_add_epi64(_mm512_srli_epi64(l0, LIMB), _mm512_slli_epi64(u[0], 52 - LIMB)));
  l2 = _mm512_add_epi64(l2, _mm512_add_epi64(_mm512_srli_epi64(l1, LIMB), _mm512_slli_epi64(u[1], 52 - LIMB)));
  __m512i over = _mm512_add_epi64(_mm512_srli_epi64(l2, LAST_LIMB), _mm512_slli_epi64(u[2], 52 - LAST_LIMB));
  /* 2^130 is 5. */
  l0 = _mm512_add_epi64(_mm512_and_si512(l0, mask), _mm512_add_epi64(over, _mm512_slli_epi64(over, 2)));
  return (numbers){{_mm512_and_si512(l0, mask),
                    _mm512_add_epi64(_mm512_and_si512(l1, mask), _mm512_srli_epi64(l0, LIMB)),
                    _mm512_and_si512(l2, every(LAST_LIMB_MASK))}};
}

WIDE_INLINE products no_product(void) {
  products out;
  for (int i = 0; i < 3; i++) out.lower[i] = out.upper[i] = _mm512_setzero_si512();
  return out;
}

WIDE_INLINE void half_begin(half_macs *self, __m512i low, __m512i high) {
  numbers r = numbers_of(_mm512_and_si512(low, every(UINT64_C(0x0ffffffc0fffffff))),
                         _mm512_and_si512(high, every(UINT64_C(0x0ffffffc0ffffffc))));
  self->r = factors_of(&r);
  products square = no_product();
  multiply(&square, &r, &self->r);
  numbers reduced = reduce(&square);
  self->square = factors_of(&reduced);
  for (int i = 0; i < 3; i++) self->sum.limb[i] = _mm512_setzero_si512();
}

/* sum = (sum + piece) * r */
WIDE_INLINE void half_add(half_macs *self, const __m512i words[2]) {
  numbers piece = piece_of(words[0], words[1]), sum = plus(&self->sum, &piece);
  products product = no_product();
  multiply(&product, &sum, &self->r);
  self->sum = reduce(&product);
}

/* Two pieces at once: sum = (sum + first) * r^2 + second * r. */
WIDE_INLINE void half_add_two(half_macs *self, const __m512i words[4]) {
  numbers first = piece_of(words[0], words[1]), second = piece_of(words[2], words[3]);
  numbers sum = plus(&self->sum, &first);
  products product = no_product();
  multiply(&product, &second, &self->r);
  multiply(&product, &sum, &self->square);
  self->sum = reduce(&product);
}

/* Two neighbouring words of the texts of a half, as one. */
WIDE_INLINE __m512i word_pair(const rows *words, int word, int half) {
  __m512i low = words->row[word], high = words->row[word + 1];
  __m256i lows = half == 0 ? _mm512_castsi512_si256(low) : _mm512_extracti64x4_epi64(low, 1);
  __m256i highs = half == 0 ? _mm512_castsi512_si256(high) : _mm512_extracti64x4_epi64(high, 1);
  return _mm512_or_si512(_mm512_cvtepu32_epi64(lows), _mm512_slli_epi64(_mm512_cvtepu32_epi64(highs), 32));
}

/* `first`: block 0 of each stream, by words; its first 32 bytes are the key of the tag. */
WIDE_INLINE void macs_begin(macs *self, const rows *first) {
  for (int half = 0; half < 2; half++) {
    half_begin(&self->of[half], word_pair(first, 0, half), word_pair(first, 2, half));
    _mm512_storeu_si512(self->low + HALF * half, word_pair(first, 4, half));
    _mm512_storeu_si512(self->high + HALF * half, word_pair(first, 6, half));
  }
}

/* Adds the first `count` pieces of a block of each text. */
WIDE_INLINE void macs_add(macs *self, const rows *from, size_t count) {
  size_t i = 0;
#pragma GCC unroll 1
  for (; i + 2 <= count; i += 2) {
    half_add_two(&self->of[0], from->row + 2 * i);
    half_add_two(&self->of[1], from->row + HALF + 2 * i);
  }
  if (i == count) return;
  half_add(&self->of[0], from->row + 2 * i);
  half_add(&self->of[1], from->row + HALF + 2 * i);
}

/* (h mod 2^130 - 5) + what is added, mod 2^128. */
static void write_tag(uint64_t h0, uint64_t h1, uint64_t h2, uint64_t low, uint64_t high, uint8_t out[WIDE_TAG]) {
  for (int i = 0; i < 2; i++) {
    h2 += h1 >> LIMB;
    h1 &= LIMB_MASK;
    h0 += 5 * (h2 >> LAST_LIMB);
    h2 &= LAST_LIMB_MASK;
    h1 += h0 >> LIMB;
    h0 &= LIMB_MASK;
  }
  /* If h + 5 reaches 2^130, that less 2^130 is h modulo 2^130 - 5. */
  uint64_t g0 = h0 + 5, g1 = h1 + (g0 >> LIMB), g2 = h2 + (g1 >> LIMB);
  uint64_t reached = 0 - (g2 >> LAST_LIMB);
  h0 = (h0 & ~reached) | (g0 & LIMB_MASK & reached);
  h1 = (h1 & ~reached) | (g1 & LIMB_MASK & reached);
  h2 = (h2 & ~reached) | (g2 & LAST_LIMB_MASK & reached);
  unsigned __int128 sum = (unsigned __int128)(h1 >> (64 - LIMB) | h2 << (2 * LIMB - 64)) << 64 | (h0 | h1 << LIMB);
  sum += (unsigned __int128)high << 64 | low;
  memcpy(out, &sum, WIDE_TAG);
}

/* Adds the lengths of what goes with the text (0) and of the text. */
WIDE_INLINE void macs_end(macs *self, size_t length, uint8_t tags[WIDE_LANES][WIDE_TAG]) {
  const __m512i lengths[2] = {_mm512_setzero_si512(), every(length)};
  for (int half = 0; half < 2; half++) {
    half_macs *of = &self->of[half];
    uint64_t limbs[3][HALF];
    half_add(of, lengths);
    for (int i = 0; i < 3; i++) _mm512_storeu_si512(limbs[i], of->sum.limb[i]);
    for (int i = 0; i < HALF; i++) {
      int lane = HALF * half + i;
      write_tag(limbs[0][i], limbs[1][i], limbs[2][i], self->low[lane], self->high[lane], tags[lane]);
    }
  }
}

/* ChaCha20. */

WIDE_INLINE void quarter_round(__m512i *a, __m512i *b, __m512i *c, __m512i *d) {
  *a = _mm512_add_epi32(*a, *b);
  *d = _mm512_rol_epi32(_mm512_xor_si512(*d, *a), 16);
  *c = _mm512_add_epi32(*c, *d);
  *b = _mm512_rol_epi32(_mm512_xor_si512(*b, *c), 12);
  *a = _mm512_add_epi32(*a, *b);
  *d = _mm512_rol_epi32(_mm512_xor_si512(*d, *a), 8);
  *c = _mm512_add_epi32(*c, *d);
  *b = _mm512_rol_epi32(_mm512_xor_si512(*b, *c), 7);
}

WIDE_INLINE void double_round(__m512i x[WORDS]) {
  quarter_round(&x[0], &x[4], &x[8], &x[12]);
  quarter_round(&x[1], &x[5], &x[9], &x[13]);
  quarter_round(&x[2], &x[6], &x[10], &x[14]);
  quarter_round(&x[3], &x[7], &x[11], &x[15]);
  quarter_round(&x[0], &x[5], &x[10], &x[15]);
  quarter_round(&x[1], &x[6], &x[11], &x[12]);
  quarter_round(&x[2], &x[7], &x[8], &x[13]);
  quarter_round(&x[3], &x[4], &x[9], &x[14]);
}

WIDE_INLINE streams streams_of(const uint32_t *key, const wide_text *texts, size_t count) {
  uint32_t low[WIDE_LANES] = {0}, high[WIDE_LANES] = {0};
  for (size_t i = 0; i < count; i++) {
    low[i] = (uint32_t)texts[i].counter;
    high[i] = (uint32_t)(texts[i].counter >> 32);
  }
  return (streams){key, _mm512_loadu_si512(low), _mm512_loadu_si512(high)};
}

/* What a block begins with, by words. */
WIDE_INLINE void first_words(const streams *of, uint32_t number, __m512i out[WORDS]) {
  /* So that the compiler has the key read from where it is each time, and leaves no copy of it on the stack. */
  __asm__("" : "+m"(*(uint32_t(*)[WIDE_KEY_WORDS])(uintptr_t)of->key));
  for (int i = 0; i < 4; i++) out[i] = _mm512_set1_epi32((int)SIGMA[i]);
  for (int i = 0; i < WIDE_KEY_WORDS; i++) out[4 + i] = _mm512_set1_epi32((int)of->key[i]);
  out[12] = _mm512_set1_epi32((int)number);
  out[13] = _mm512_setzero_si512();
  out[14] = of->low;
  out[15] = of->high;
}

/* Block `number` of each stream, by words. */
WIDE_INLINE void make_block(const streams *of, uint32_t number, rows *out) {
  __m512i x[WORDS], first[WORDS];
  first_words(of, number, x);
#pragma GCC unroll 1
  for (int i = 0; i < DOUBLE_ROUNDS; i++) double_round(x);
  first_words(of, number, first);
  for (int i = 0; i < WORDS; i++) out->row[i] = _mm512_add_epi32(x[i], first[i]);
}

/* From a register for each word to one for each text. */
WIDE_INLINE void gather_texts(rows *of) {
  __m512i *x = of->row, t[WORDS];
  /* Then t[i + k] holds words i to i + 3 of the texts k, 4 + k, 8 + k and 12 + k. */
  for (int i = 0; i < WORDS; i += 4) {
    __m512i a = _mm512_unpacklo_epi32(x[i], x[i + 1]), b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    __m512i c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]), d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
    t[i] = _mm512_unpacklo_epi64(a, c);
    t[i + 1] = _mm512_unpackhi_epi64(a, c);
    t[i + 2] = _mm512_unpacklo_epi64(b, d);
    t[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int k = 0; k < 4; k++) {
    __m512i a = _mm512_shuffle_i32x4(t[k], t[4 + k], 0x44), b = _mm512_shuffle_i32x4(t[k], t[4 + k], 0xee);
    __m512i c = _mm512_shuffle_i32x4(t[8 + k], t[12 + k], 0x44), d = _mm512_shuffle_i32x4(t[8 + k], t[12 + k], 0xee);
    x[k] = _mm512_shuffle_i32x4(a, c, 0x88);
    x[4 + k] = _mm512_shuffle_i32x4(a, c, 0xdd);
    x[8 + k] = _mm512_shuffle_i32x4(b, d, 0x88);
    x[12 + k] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}

/* From a register for each of eight texts to one for each of their 64-bit words. */
WIDE_INLINE void scatter_half(__m512i x[HALF]) {
  __m512i t[HALF];
  for (int i = 0; i < HALF; i += 2) {
    t[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  for (int k = 0; k < 2; k++) {
    __m512i a = _mm512_shuffle_i64x2(t[k], t[2 + k], 0x88), b = _mm512_shuffle_i64x2(t[k], t[2 + k], 0xdd);
    __m512i c = _mm512_shuffle_i64x2(t[4 + k], t[6 + k], 0x88), d = _mm512_shuffle_i64x2(t[4 + k], t[6 + k], 0xdd);
    x[k] = _mm512_shuffle_i64x2(a, c, 0x88);
    x[2 + k] = _mm512_shuffle_i64x2(b, d, 0x88);
    x[4 + k] = _mm512_shuffle_i64x2(a, c, 0xdd);
    x[6 + k] = _mm512_shuffle_i64x2(b, d, 0xdd);
  }
}

/* Both together. */

/*
 * XORs the stream, by words, onto the bytes at `at` of each text that `mask` has. Their ciphertext, with zeros for the
 * others, is what is sealed.
 */
WIDE_INLINE void apply(rows *stream, const wide_text *texts, size_t count, size_t at, __mmask64 mask, bool opens,
                       rows *sealed) {
  const __mmask64 from_before = opens ? mask : 0;
  gather_texts(stream);
#pragma GCC unroll 16
  for (size_t i = 0; i < WIDE_LANES; i++) {
    if (i == count) break;
    uint8_t *bytes = texts[i].bytes + at;
    __m512i before = _mm512_maskz_loadu_epi8(mask, bytes), after = _mm512_xor_si512(stream->row[i], before);
    _mm512_mask_storeu_epi8(bytes, mask, after);
    sealed->row[i] = _mm512_mask_mov_epi8(_mm512_maskz_mov_epi8(mask, after), from_before, before);
  }
  scatter_half(sealed->row);
  scatter_half(sealed->row + HALF);
}

/* `here` bytes of each text from `at` on: a block, or what is left. */
WIDE_INLINE void take_block(const streams *of, uint32_t number, const wide_text *texts, size_t count, size_t at, size_t here,
                            bool opens, rows *sealed, secrets *held) {
  __mmask64 mask = here == BLOCK ? ~(__mmask64)0 : ((__mmask64)1 << here) - 1;
  make_block(of, number, &held->stream);
  apply(&held->stream, texts, count, at, mask, opens, sealed);
  macs_add(&held->sum, sealed, (here + PIECE - 1) / PIECE);
}

/*
 * Encrypts or decrypts all, and tells their tags. What is constant here, the direction and that a block is whole, the compiler
 * is to know: of whole blocks no byte is masked.
 */
WIDE_INLINE void run(const uint32_t *key, const wide_text *texts, size_t count, size_t length, bool opens,
                     uint8_t tags[WIDE_LANES][WIDE_TAG]) {
  const streams of = streams_of(key, texts, count);
  rows sealed;
  secrets held;
  for (int i = 0; i < WIDE_LANES; i++) sealed.row[i] = _mm512_setzero_si512();
  make_block(&of, 0, &held.stream);
  macs_begin(&held.sum, &held.stream);
  uint32_t number = 1;
  size_t at = 0;
  for (; length - at >= BLOCK; at += BLOCK) take_block(&of, number++, texts, count, at, BLOCK, opens, &sealed, &held);
  if (at < length) take_block(&of, number, texts, count, at, length - at, opens, &sealed, &held);
  macs_end(&held.sum, length, tags);
  explicit_bzero(&held, sizeof held);
}

WIDE void wide_cipher_seal(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count, size_t length) {
  uint8_t tags[WIDE_LANES][WIDE_TAG];
  run(key, texts, count, length, false, tags);
  for (size_t i = 0; i < count; i++) memcpy(texts[i].bytes + length, tags[i], WIDE_TAG);
}

static bool tag_equals(const uint8_t *a, const uint8_t *b) {
  uint64_t x[2], y[2];
  memcpy(x, a, WIDE_TAG);
  memcpy(y, b, WIDE_TAG);
  return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* All is decrypted when the tags are known, as both take one pass. */
WIDE wide_lanes wide_cipher_open(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count,
                                 size_t length) {
  uint8_t tags[WIDE_LANES][WIDE_TAG];
  wide_lanes valid = 0;
  run(key, texts, count, length, true, tags);
  for (size_t i = 0; i < count; i++)
    valid |= (wide_lanes)((wide_lanes)tag_equals(tags[i], texts[i].bytes + length) << i);
  return valid;
}

#else

#include <stdlib.h>

bool wide_cipher_available(void) {
  return false;
}

void wide_cipher_seal(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count, size_t length) {
  (void)key, (void)texts, (void)count, (void)length;
  abort();
}

wide_lanes wide_cipher_open(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count, size_t length) {
  (void)key, (void)texts, (void)count, (void)length;
  abort();
}

#endif
