/*
 * ChaCha20-Poly1305 (as aead.h has it) of up to sixteen texts of one key and one length at once, one in each lane of
 * AVX-512's registers: no block is ciphered in vain, and Poly1305 needs no powers of its keys. What is done does not
 * depend on keys or texts.
 */
#ifndef WEAVE_WIDE_CIPHER_H
#define WEAVE_WIDE_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIDE_LANES 16
#define WIDE_KEY_WORDS 8
#define WIDE_TAG 16

/* Which of up to sixteen texts, the first as bit 0. */
typedef uint16_t wide_lanes;

/* A text, with its tag behind it. */
typedef struct {
  uint64_t counter;
  uint8_t *bytes;
} wide_text;

/* Whether this processor has what it takes; nothing else here may be called without. */
bool wide_cipher_available(void);

/* Encrypts 1 to 16 texts in place and writes their tags; touches nothing else. */
void wide_cipher_seal(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count, size_t length);

/* Decrypts 1 to 16 texts in place. Returns whose tags are valid; the bytes of the others are garbage afterwards. */
wide_lanes wide_cipher_open(const uint32_t key[WIDE_KEY_WORDS], const wide_text *texts, size_t count, size_t length);

#endif
