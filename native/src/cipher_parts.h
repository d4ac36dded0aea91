/* ChaCha20 and Poly1305 of the OpenSSL that Node carries, for one key of the former. */
#ifndef WEAVE_CIPHER_PARTS_H
#define WEAVE_CIPHER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHACHA_KEY 32
#define CHACHA_BLOCK 64
#define POLY_KEY 32
#define POLY_TAG 16

typedef struct cipher_parts cipher_parts;

/* Null if no memory is left. The caller wipes `key`. */
cipher_parts *cipher_parts_new(const uint8_t key[CHACHA_KEY]);

/* Wipes the key. Null is allowed. */
void cipher_parts_free(cipher_parts *self);

/* Its key, as ChaCha20's words. */
const uint32_t *cipher_parts_key(const cipher_parts *self);

/* To block 0 of the stream whose nonce is 4 zero bytes | counter u64 LE. */
bool cipher_parts_begin(cipher_parts *self, uint64_t counter);

/* XORs the stream onto the bytes and goes on behind them; all but the last call with whole blocks. */
bool cipher_parts_apply(cipher_parts *self, uint8_t *bytes, size_t length);

bool cipher_parts_mac_begin(cipher_parts *self, const uint8_t key[POLY_KEY]);
bool cipher_parts_mac_add(cipher_parts *self, const uint8_t *bytes, size_t length);
bool cipher_parts_mac_end(cipher_parts *self, uint8_t tag[POLY_TAG]);

#endif
