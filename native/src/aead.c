#include "aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * Put together from OpenSSL's ChaCha20 and Poly1305 as RFC 8439, section 2.8, has it. EVP_chacha20_poly1305 does the same
 * in more time: it ciphers the block with the tag's key and the end of the text one by one, each of which takes as long
 * as eight blocks at once, and finds the tag by name.
 */
struct aead {
  EVP_CIPHER_CTX *stream;
  EVP_MAC_CTX *mac;
};

#define BLOCK 64
/* Of Poly1305. */
#define MAC_BLOCK 16
#define MAC_KEY 32
/* Block counter and nonce. */
#define POSITION 16
/* The longest text that is copied so as to be opened in one run; copying longer ones would cost more. */
#define ONE_RUN (36 * BLOCK)

static bool begin(aead *self, uint64_t counter);
static bool cipher(aead *self, uint8_t *bytes, size_t length);
static bool compute_tag(aead *self, const uint8_t key[MAC_KEY], const uint8_t *text, size_t length, uint8_t *tag);
static bool tag_holds(aead *self, const uint8_t key[MAC_KEY], const uint8_t *text, size_t length);

static EVP_MAC_CTX *new_mac(void) {
  EVP_MAC *poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
  if (poly1305 == NULL) return NULL;
  EVP_MAC_CTX *mac = EVP_MAC_CTX_new(poly1305);
  EVP_MAC_free(poly1305);
  return mac;
}

/* Making the contexts costs more than sealing a datagram: they keep the key, and each datagram sets its position alone. */
aead *aead_new(const uint8_t key[AEAD_KEY]) {
  aead *self = OPENSSL_zalloc(sizeof *self);
  if (self == NULL) return NULL;
  self->stream = EVP_CIPHER_CTX_new();
  self->mac = new_mac();
  bool made = self->stream != NULL && self->mac != NULL;
  if (made && EVP_CipherInit_ex(self->stream, EVP_chacha20(), NULL, key, NULL, 1) == 1) return self;
  aead_free(self);
  return NULL;
}

void aead_free(aead *self) {
  if (self == NULL) return;
  static const uint8_t no_key[MAC_KEY];
  EVP_CIPHER_CTX_free(self->stream);
  /* OpenSSL does not wipe this one. */
  if (self->mac != NULL) EVP_MAC_init(self->mac, no_key, MAC_KEY, NULL);
  EVP_MAC_CTX_free(self->mac);
  OPENSSL_free(self);
}

static size_t whole_blocks(size_t length) {
  return (length + BLOCK - 1) / BLOCK * BLOCK;
}

bool aead_seal(aead *self, uint64_t counter, uint8_t *text, size_t length) {
  uint8_t before[BLOCK], key[MAC_KEY];
  uint8_t *first = text - BLOCK;
  memcpy(before, first, BLOCK);
  memset(first, 0, BLOCK);
  bool sealed = begin(self, counter) && cipher(self, first, BLOCK + whole_blocks(length));
  memcpy(key, first, MAC_KEY);
  memcpy(first, before, BLOCK);
  return sealed && compute_tag(self, key, text, length, text + length);
}

bool aead_open(aead *self, uint64_t counter, uint8_t *text, size_t length) {
  uint8_t run[BLOCK + ONE_RUN];
  memset(run, 0, BLOCK);
  if (!begin(self, counter)) return false;
  if (length > ONE_RUN) {
    if (!cipher(self, run, BLOCK) || !tag_holds(self, run, text, length)) return false;
    return cipher(self, text, length);
  }
  memcpy(run + BLOCK, text, length);
  memset(run + BLOCK + length, 0, whole_blocks(length) - length);
  if (!cipher(self, run, BLOCK + whole_blocks(length)) || !tag_holds(self, run, text, length)) return false;
  memcpy(text, run + BLOCK, length);
  return true;
}

/* To the block with the tag's key. */
static bool begin(aead *self, uint64_t counter) {
  uint8_t position[POSITION] = {0};
  for (int i = 0; i < 8; i++) position[8 + i] = (uint8_t)(counter >> 8 * i);
  return EVP_CipherInit_ex(self->stream, NULL, NULL, NULL, position, -1) == 1;
}

static bool cipher(aead *self, uint8_t *bytes, size_t length) {
  int done;
  return EVP_CipherUpdate(self->stream, bytes, &done, bytes, (int)length) == 1;
}

/* Over the text, zeros up to a whole block, the length of what goes with it (0) and its own. */
static bool compute_tag(aead *self, const uint8_t key[MAC_KEY], const uint8_t *text, size_t length, uint8_t *tag) {
  size_t rest = length % MAC_BLOCK, done;
  uint8_t end[2 * MAC_BLOCK] = {0};
  uint8_t *lengths = end + (rest == 0 ? 0 : MAC_BLOCK);
  memcpy(end, text + length - rest, rest);
  for (int i = 0; i < 8; i++) lengths[8 + i] = (uint8_t)((uint64_t)length >> 8 * i);
  return EVP_MAC_init(self->mac, key, MAC_KEY, NULL) == 1 && EVP_MAC_update(self->mac, text, length - rest) == 1 &&
         EVP_MAC_update(self->mac, end, (size_t)(lengths - end) + MAC_BLOCK) == 1 &&
         EVP_MAC_final(self->mac, tag, &done, AEAD_TAG) == 1;
}

static bool tag_holds(aead *self, const uint8_t key[MAC_KEY], const uint8_t *text, size_t length) {
  uint8_t tag[AEAD_TAG];
  return compute_tag(self, key, text, length, tag) && CRYPTO_memcmp(tag, text + length, AEAD_TAG) == 0;
}
