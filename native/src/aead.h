/* ChaCha20-Poly1305 (RFC 8439) with nonce = 4 zero bytes | counter u64 LE and no associated data. */
#ifndef WEAVE_AEAD_H
#define WEAVE_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY 32
#define AEAD_TAG 16

/* One key and direction; it may seal and open in place. */
typedef struct evp_cipher_ctx_st aead;

/* Null if no memory is left. The caller wipes `key`. */
aead *aead_new_sealer(const uint8_t key[AEAD_KEY]);
aead *aead_new_opener(const uint8_t key[AEAD_KEY]);

/* Wipes the key. Null is allowed. */
void aead_free(aead *cipher);

/* Encrypts `text` in place and writes the tag behind it. */
bool aead_seal(aead *cipher, uint64_t counter, uint8_t *text, size_t length);

/* Decrypts `text` in place, whose tag is behind it. False if the tag is invalid: the text is garbage then. */
bool aead_open(aead *cipher, uint64_t counter, uint8_t *text, size_t length);

#endif
