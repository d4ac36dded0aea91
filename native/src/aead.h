/* ChaCha20-Poly1305 (RFC 8439) with nonce = 4 zero bytes | counter u64 LE and no associated data. */
#ifndef WEAVE_AEAD_H
#define WEAVE_AEAD_H

#include "wide_cipher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY 32
#define AEAD_TAG 16
/* Memory on either side of a text that is sealed. */
#define AEAD_MARGIN 64
/* Texts that are sealed or opened together. */
#define AEAD_BATCH WIDE_LANES

typedef wide_text aead_text;
/* Which of them, the first as bit 0. */
typedef wide_lanes aead_set;

/* One key and direction. */
typedef struct cipher_parts aead;

/* Null if no memory is left. The caller wipes `key`. */
aead *aead_new(const uint8_t key[AEAD_KEY]);

/* Wipes the key. Null is allowed. */
void aead_free(aead *self);

/*
 * Encrypts up to AEAD_BATCH texts of one length in place and writes their tags behind them. The margins on either side are
 * borrowed and given back. False if not all were encrypted.
 */
bool aead_seal(aead *self, const aead_text *texts, size_t count, size_t length);

/*
 * Decrypts up to AEAD_BATCH texts of one length in place, whose tags are behind them. Returns whose tags are valid; the
 * bytes of the others may be garbage afterwards.
 */
aead_set aead_open(aead *self, const aead_text *texts, size_t count, size_t length);

#endif
