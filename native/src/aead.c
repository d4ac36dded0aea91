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

static bool seal_one(aead *self, const aead_text *text, size_t length);
static bool open_one(aead *self, const aead_text *text, size_t length);
static bool compute_tag(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length, uint8_t *tag);
static bool tag_holds(aead *self, const uint8_t key[POLY_KEY], const uint8_t *text, size_t length);

aead *aead_new(const uint8_t key[AEAD_KEY]) {
  return cipher_parts_new(key);
}

void aead_free(aead *self) {
  cipher_parts_free(self);
}

/*
 * Sixteen texts at once take as long as one, and fewer than this take less time one by one: measured at 20 to 1,404 bytes,
 * and about right beyond.
 */
static bool wide_pays(size_t count, size_t length) {
  return count >= 6 + (length < 2048 ? length : 2048) / 256 && wide_cipher_available();
}

bool aead_seal(aead *self, const aead_text *texts, size_t count, size_t length) {
  if (wide_pays(count, length)) {
    wide_cipher_seal(cipher_parts_key(self), texts, count, length);
    return true;
  }
  for (size_t i = 0; i < count; i++) {
    if (!seal_one(self, &texts[i], length)) return false;
  }
  return true;
}

aead_set aead_open(aead *self, const aead_text *texts, size_t count, size_t length) {
  if (wide_pays(count, length)) return wide_cipher_open(cipher_parts_key(self), texts, count, length);
  aead_set valid = 0;
  for (size_t i = 0; i < count; i++) valid |= (aead_set)((aead_set)open_one(self, &texts[i], length) << i);
  return valid;
}

static size_t whole_blocks(size_t length) {
  return (length + BLOCK - 1) / BLOCK * BLOCK;
}

static bool seal_one(aead *self, const aead_text *text, size_t length) {
  uint8_t before[BLOCK], behind[BLOCK], key[POLY_KEY];
  uint8_t *first = text->bytes - BLOCK, *end = text->bytes + length;
  memcpy(before, first, BLOCK);
  memcpy(behind, end, BLOCK);
  memset(first, 0, BLOCK);
  bool sealed = cipher_parts_begin(self, text->counter) && cipher_parts_apply(self, first, BLOCK + whole_blocks(length));
  memcpy(key, first, POLY_KEY);
  memcpy(first, before, BLOCK);
  memcpy(end, behind, BLOCK);
  return sealed && compute_tag(self, key, text->bytes, length, end);
}

static bool open_one(aead *self, const aead_text *sealed, size_t length) {
  uint8_t run[BLOCK + ONE_RUN];
  uint8_t *text = sealed->bytes;
  memset(run, 0, BLOCK);
  if (!cipher_parts_begin(self, sealed->counter)) return false;
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
