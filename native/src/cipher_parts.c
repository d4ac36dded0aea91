#include "cipher_parts.h"

#include "datagram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * OpenSSL's own functions (include/crypto/chacha.h, poly1305.h), which most builds of Node show. On the way through EVP
 * a datagram costs a quarter more: lengths and tags are looked up by name there, each time anew. A Node that hides
 * them, as one that is linked against the system's OpenSSL, gets EVP.
 */
#ifndef CIPHER_BY_EVP
extern void ChaCha20_ctr32(unsigned char *out, const unsigned char *in, size_t length, const unsigned int key[8],
                           const unsigned int position[4]) __attribute__((weak));
extern size_t Poly1305_ctx_size(void) __attribute__((weak));
extern void Poly1305_Init(void *state, const unsigned char key[POLY_KEY]) __attribute__((weak));
extern void Poly1305_Update(void *state, const unsigned char *bytes, size_t length) __attribute__((weak));
extern void Poly1305_Final(void *state, unsigned char tag[POLY_TAG]) __attribute__((weak));
#else
#define ChaCha20_ctr32(...) ((void)0)
#define Poly1305_ctx_size() ((size_t)0)
#define Poly1305_Init(...) ((void)0)
#define Poly1305_Update(...) ((void)0)
#define Poly1305_Final(...) ((void)0)
#endif

/* Block counter and nonce. */
#define POSITION 16

struct cipher_parts {
  uint32_t key[CHACHA_KEY / 4];
  /* Without EVP. */
  uint32_t position[POSITION / 4];
  void *state;
  /* By EVP; null without. */
  EVP_CIPHER_CTX *stream;
  EVP_MAC_CTX *mac;
};

static bool shown(void) {
#ifdef CIPHER_BY_EVP
  return false;
#else
  return ChaCha20_ctr32 != NULL && Poly1305_ctx_size != NULL && Poly1305_Init != NULL && Poly1305_Update != NULL &&
         Poly1305_Final != NULL;
#endif
}

static bool prepare(cipher_parts *self) {
  self->state = OPENSSL_zalloc(Poly1305_ctx_size());
  return self->state != NULL;
}

static EVP_MAC_CTX *new_mac(void) {
  EVP_MAC *poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
  if (poly1305 == NULL) return NULL;
  EVP_MAC_CTX *mac = EVP_MAC_CTX_new(poly1305);
  EVP_MAC_free(poly1305);
  return mac;
}

/* Making the contexts costs more than sealing a datagram: they keep the key, and each datagram sets its position alone. */
static bool prepare_evp(cipher_parts *self, const uint8_t key[CHACHA_KEY]) {
  self->stream = EVP_CIPHER_CTX_new();
  self->mac = new_mac();
  bool made = self->stream != NULL && self->mac != NULL;
  return made && EVP_CipherInit_ex(self->stream, EVP_chacha20(), NULL, key, NULL, 1) == 1;
}

cipher_parts *cipher_parts_new(const uint8_t key[CHACHA_KEY]) {
  cipher_parts *self = OPENSSL_zalloc(sizeof *self);
  if (self == NULL) return NULL;
  for (int i = 0; i < CHACHA_KEY / 4; i++) self->key[i] = le32(key + 4 * i);
  if (shown() ? prepare(self) : prepare_evp(self, key)) return self;
  cipher_parts_free(self);
  return NULL;
}

void cipher_parts_free(cipher_parts *self) {
  if (self == NULL) return;
  static const uint8_t no_key[POLY_KEY];
  EVP_CIPHER_CTX_free(self->stream);
  /* OpenSSL does not wipe this one. */
  if (self->mac != NULL) EVP_MAC_init(self->mac, no_key, POLY_KEY, NULL);
  EVP_MAC_CTX_free(self->mac);
  if (self->state != NULL) OPENSSL_clear_free(self->state, Poly1305_ctx_size());
  OPENSSL_clear_free(self, sizeof *self);
}

const uint32_t *cipher_parts_key(const cipher_parts *self) {
  return self->key;
}

bool cipher_parts_begin(cipher_parts *self, uint64_t counter) {
  if (self->stream == NULL) {
    self->position[0] = self->position[1] = 0;
    self->position[2] = (uint32_t)counter;
    self->position[3] = (uint32_t)(counter >> 32);
    return true;
  }
  uint8_t position[POSITION] = {0};
  put_le32(position + 8, (uint32_t)counter);
  put_le32(position + 12, (uint32_t)(counter >> 32));
  return EVP_CipherInit_ex(self->stream, NULL, NULL, NULL, position, -1) == 1;
}

bool cipher_parts_apply(cipher_parts *self, uint8_t *bytes, size_t length) {
  int done;
  if (self->stream != NULL) return EVP_CipherUpdate(self->stream, bytes, &done, bytes, (int)length) == 1;
  if (length > 0) ChaCha20_ctr32(bytes, bytes, length, self->key, self->position);
  self->position[0] += (uint32_t)(length / CHACHA_BLOCK);
  return true;
}

bool cipher_parts_mac_begin(cipher_parts *self, const uint8_t key[POLY_KEY]) {
  if (self->mac != NULL) return EVP_MAC_init(self->mac, key, POLY_KEY, NULL) == 1;
  Poly1305_Init(self->state, key);
  return true;
}

bool cipher_parts_mac_add(cipher_parts *self, const uint8_t *bytes, size_t length) {
  if (self->mac != NULL) return EVP_MAC_update(self->mac, bytes, length) == 1;
  Poly1305_Update(self->state, bytes, length);
  return true;
}

bool cipher_parts_mac_end(cipher_parts *self, uint8_t tag[POLY_TAG]) {
  size_t done;
  if (self->mac != NULL) return EVP_MAC_final(self->mac, tag, &done, POLY_TAG) == 1;
  Poly1305_Final(self->state, tag);
  return true;
}
