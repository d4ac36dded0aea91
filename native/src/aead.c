#include "aead.h"

#include <openssl/evp.h>
#include <string.h>

#define NONCE 12

/* Making a context costs more than sealing a datagram: it keeps the key, and each datagram sets the nonce alone. */
static aead *new_context(const uint8_t key[AEAD_KEY], bool seals) {
  aead *cipher = EVP_CIPHER_CTX_new();
  if (cipher == NULL) return NULL;
  if (EVP_CipherInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, NULL, seals) == 1) return cipher;
  EVP_CIPHER_CTX_free(cipher);
  return NULL;
}

aead *aead_new_sealer(const uint8_t key[AEAD_KEY]) {
  return new_context(key, true);
}

aead *aead_new_opener(const uint8_t key[AEAD_KEY]) {
  return new_context(key, false);
}

void aead_free(aead *cipher) {
  EVP_CIPHER_CTX_free(cipher);
}

static bool set_nonce(aead *cipher, uint64_t counter) {
  uint8_t nonce[NONCE] = {0};
  for (int i = 0; i < 8; i++) nonce[4 + i] = (uint8_t)(counter >> 8 * i);
  return EVP_CipherInit_ex(cipher, NULL, NULL, NULL, nonce, -1) == 1;
}

bool aead_seal(aead *cipher, uint64_t counter, uint8_t *text, size_t length) {
  int done, rest;
  return set_nonce(cipher, counter) && EVP_EncryptUpdate(cipher, text, &done, text, (int)length) == 1 &&
         EVP_EncryptFinal_ex(cipher, text + done, &rest) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, text + length) == 1;
}

bool aead_open(aead *cipher, uint64_t counter, uint8_t *text, size_t length) {
  int done, rest;
  return set_nonce(cipher, counter) &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, text + length) == 1 &&
         EVP_DecryptUpdate(cipher, text, &done, text, (int)length) == 1 &&
         EVP_DecryptFinal_ex(cipher, text + done, &rest) == 1;
}
