#include "aead.h"

#include "cipher_parts.h"

#include <openssl/crypto.h>
#include <string.h>

/*
 * Put together from ChaCha20 and Poly1305 as RFC 8439, section 2.8, has it. EVP_chacha20_poly1305 of OpenSSL does the
 * same in more time: it ciphers the block with the tag's key and the end of the text one by one, each of which takes as
 * long as eight blocks at once.
 */
#define BLOCK CHACHA_BLOCK
/* Of Poly1305. */
#define MAC_BLOCK 16
/* The longest text that is copied so as to be opened in one run; copying longer ones would cost more. */
#define ONE_RUN (36 * BLOCK)

static bool compute_tag(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length, uint8_t *tag);
static bool tag_holds(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length);

aead *aead_new(const uint8_t key[AEAD_KEY]) {
  return cipher_parts_new(key);
}

void aead_free(aead *self) {
  cipher_parts_free(self);
}

static size_t whole_blocks(size_t length) {
  return (length + BLOCK - 1) / BLOCK * BLOCK;
}

bool aead_seal(aead *self, uint64_t counter, uint8_t *text, size_t length) {
  uint8_t before[BLOCK], key[POLY_KEY];
  uint8_t *first = text - BLOCK;
  memcpy(before, first, BLOCK);
  memset(first, 0, BLOCK);
  bool sealed = cipher_parts_begin(self, counter) && cipher_parts_apply(self, first, BLOCK + whole_blocks(length));
  memcpy(key, first, POLY_KEY);
  memcpy(first, before, BLOCK);
  return sealed && compute_tag(self, key, text, length, text + length);
}

bool aead_open(aead *self, uint64_t counter, uint8_t *text, size_t length) {
  uint8_t run[BLOCK + ONE_RUN];
  memset(run, 0, BLOCK);
  if (!cipher_parts_begin(self, counter)) return false;
  if (length > ONE_RUN) {
    if (!cipher_parts_apply(self, run, BLOCK) || !tag_holds(self, run, text, length)) return false;
    return cipher_parts_apply(self, text, length);
  }
  memcpy(run + BLOCK, text, length);
  memset(run + BLOCK + length, 0, whole_blocks(length) - length);
  if (!cipher_parts_apply(self, run, BLOCK + whole_blocks(length)) || !tag_holds(self, run, text, length)) return false;
  memcpy(text, run + BLOCK, length);
  return true;
}

/* Over the text, zeros up to a whole block, the length of what goes with it (0) and its own. */
static bool compute_tag(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length, uint8_t *tag) {
  size_t rest = length % MAC_BLOCK;
  uint8_t end[2 * MAC_BLOCK] = {0};
  uint8_t *lengths = end + (rest == 0 ? 0 : MAC_BLOCK);
  memcpy(end, text + length - rest, rest);
  for (int i = 0; i < 8; i++) lengths[8 + i] = (uint8_t)((uint64_t)length >> 8 * i);
  return cipher_parts_mac_begin(self, key) && cipher_parts_mac_add(self, text, length - rest) &&
         cipher_parts_mac_add(self, end, (size_t)(lengths - end) + MAC_BLOCK) && cipher_parts_mac_end(self, tag);
}

static bool tag_holds(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length) {
  uint8_t tag[AEAD_TAG];
  return compute_tag(self, key, text, length, tag) && CRYPTO_memcmp(tag, text + length, AEAD_TAG) == 0;
}
