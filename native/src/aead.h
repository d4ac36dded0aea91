/* ChaCha20-Poly1305 (RFC 8439) with nonce = 4 zero bytes | counter u64 LE and no associated data. */
#ifndef WEAVE_AEAD_H
#define WEAVE_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY 32
#define AEAD_TAG 16
/* Memory on either side of a text that is sealed. */
#define AEAD_MARGIN 64

/* One key and direction. */
typedef struct cipher_parts aead;

/* Null if no memory is left. The caller wipes `key`. */
aead *aead_new(const uint8_t key[AEAD_KEY]);

/* Wipes the key. Null is allowed. */
void aead_free(aead *self);

/*
 * Encrypts `text` in place and writes the tag behind it. The margin before it is borrowed and given back; of the margin
 * behind it all but the tag is garbage afterwards.
 */
bool aead_seal(aead *self, uint64_t counter, uint8_t *text, size_t length);

/* Decrypts `text` in place, whose tag is behind it. False if the tag is invalid: the text stays as it was then. */
bool aead_open(aead *self, uint64_t counter, uint8_t *text, size_t length);

#endif
