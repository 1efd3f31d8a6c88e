/*===- kernels.c - The kernels of a tiny model, by hand ---------------------===
 *
 * What a compiler would emit for manifest.json, written plainly. The model has
 * no meaning, but all that the runtime does for a model shows in its results:
 * packed layouts, paged state, the arrays of ds_seq, buckets, scratch memory
 * and the floating-point state. FakeModel.cpp computes the same without them.
 *
 *===----------------------------------------------------------------------===*/
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <xmmintrin.h>

enum { D = 12, K = 32, PAGE = 64, V = 40, ROUNDED_V = 48, PAIRS = 20 };

typedef struct {
  const int32_t *ids, *position, *sequence, *row_begin, *past, *pages;
  int64_t max_pages;
  const int32_t *out_rows, *query_tiles;
} Seq;

/* Declares the two functions of a kernel. */
#define KERNEL(name)                                                           \
  int64_t name##_tiles(const int64_t *dims) __asm__(#name ".avx2.tiles");      \
  void name##_run(void *const *args, const int64_t *dims, int64_t tile,        \
                  void *scratch) __asm__(#name ".avx2")

static float widen(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/* Element (n, k) of a panel_bf16 of one block of columns. */
static float panel_bf16(const uint16_t *w, int n, int k) {
  return widen(w[(n / 32) * 1024 + (n % 32 / 16) * 512 + (k / 2) * 32 +
                 (n % 16) * 2 + k % 2]);
}

/* The element of a key (position, column). */
static float *key_at(float *state, const int32_t *pages, int p, int c) {
  float *page = state + (int64_t)pages[p / PAGE] * PAGE * K;
  int q = p % PAGE;
  return page + (q / 16) * K * 16 + c * 16 + q % 16;
}

static float *value_at(float *state, const int32_t *pages, int p, int c) {
  return state + ((int64_t)pages[p / PAGE] * PAGE + p % PAGE) * K + c;
}

KERNEL(embed);
int64_t embed_tiles(const int64_t *dims) { return (dims[0] + 7) / 8; }
void embed_run(void *const *args, const int64_t *dims, int64_t tile,
               void *scratch) {
  const uint16_t *table = args[0];
  const Seq *seq = args[1];
  float *x = args[2];
  for (int64_t t = tile * 8; t < dims[0] && t < tile * 8 + 8; ++t)
    for (int c = 0; c < D; ++c)
      x[t * D + c] = widen(table[seq->ids[t] * D + c]);
}

KERNEL(keep);
int64_t keep_tiles(const int64_t *dims) { return dims[0]; }
void keep_run(void *const *args, const int64_t *dims, int64_t t,
              void *scratch) {
  const float *x = (const float *)args[0] + t * D;
  const Seq *seq = args[1];
  const int32_t *pages = seq->pages + seq->sequence[t] * seq->max_pages;
  for (int c = 0; c < D; ++c) {
    *key_at(args[2], pages, seq->position[t], c) = x[c];
    *value_at(args[3], pages, seq->position[t], c) = 0.5f * x[c];
  }
}

/* What every position up to that of row t gives to it, in `sum`. */
static void attend(void *const *args, int64_t t, int64_t s, float *sum) {
  const float *x = (const float *)args[0] + t * D;
  const Seq *seq = args[3];
  const int32_t *pages = seq->pages + s * seq->max_pages;
  for (int c = 0; c < D; ++c)
    sum[c] = 0;
  for (int p = 0; p <= seq->position[t]; ++p) {
    float score = 0;
    for (int c = 0; c < D; ++c)
      score += x[c] * *key_at(args[1], pages, p, c);
    for (int c = 0; c < D; ++c)
      sum[c] +=
          score / (1 + seq->position[t]) * *value_at(args[2], pages, p, c);
  }
}

static void mix_row(void *const *args, int64_t t, int64_t s, float *sum) {
  const float *x = (const float *)args[0] + t * D;
  const float *w = args[4], *bias = args[5];
  float *y = (float *)args[6] + t * D;
  attend(args, t, s, sum);
  for (int n = 0; n < D; ++n) {
    y[n] = x[n] + bias[n];
    for (int k = 0; k < D; ++k)
      y[n] += w[k * 32 + n] * sum[k];
  }
}

KERNEL(mix);
int64_t mix_tiles(const int64_t *dims) { return dims[3]; }
void mix_run(void *const *args, const int64_t *dims, int64_t tile,
             void *scratch) {
  const Seq *seq = args[3];
  const int32_t *query = seq->query_tiles + 3 * tile;
  /* Broken promises of the runtime show as NaN. */
  int sane = (uintptr_t)scratch % 64 == 0 &&
             (_mm_getcsr() & 0xffc0) == 0x1f80 && query[2] >= 1 &&
             query[2] <= 5;
  for (int32_t t = query[1]; t < query[1] + query[2]; ++t) {
    mix_row(args, t, query[0], scratch);
    if (!sane)
      ((float *)args[6])[t * D] = NAN;
  }
}

/* For one row; a launch of more rows shows as NaN. */
KERNEL(mix_m1);
int64_t mix_m1_tiles(const int64_t *dims) { return dims[3]; }
void mix_m1_run(void *const *args, const int64_t *dims, int64_t tile,
                void *scratch) {
  mix_run(args, dims, tile, scratch);
  if (dims[0] != 1)
    ((float *)args[6])[0] = NAN;
}

KERNEL(pair);
int64_t pair_tiles(const int64_t *dims) { return dims[0]; }
void pair_run(void *const *args, const int64_t *dims, int64_t t,
              void *scratch) {
  const float *y = (const float *)args[0] + t * D;
  float *x = (float *)args[2] + t * D;
  for (int j = 0; j < PAIRS; ++j) {
    float gate = 0, up = 0;
    for (int k = 0; k < D; ++k) {
      int row = j / 16 * 32 + j % 16;
      gate += panel_bf16(args[1], row, k) * y[k];
      up += panel_bf16(args[1], row + 16, k) * y[k];
    }
    float before = j < D ? y[j] : x[j % D];
    x[j % D] = before + 0.125f * gate * up;
  }
}

KERNEL(norm);
int64_t norm_tiles(const int64_t *dims) { return 1; }
void norm_run(void *const *args, const int64_t *dims, int64_t tile,
              void *scratch) {
  for (int64_t i = 0; i < dims[0] * D; ++i)
    ((float *)args[1])[i] = 0.25f * ((const float *)args[0])[i];
}

KERNEL(head);
int64_t head_tiles(const int64_t *dims) { return 2 * dims[2]; }
void head_run(void *const *args, const int64_t *dims, int64_t tile,
              void *scratch) {
  const Seq *seq = args[2];
  int64_t row = tile / 2;
  const float *h = (const float *)args[0] + (int64_t)seq->out_rows[row] * D;
  float *logits = (float *)args[3] + row * ROUNDED_V;
  int begin = tile % 2 ? 32 : 0, end = tile % 2 ? V : 32;
  for (int n = begin; n < end; ++n) {
    logits[n] = 0;
    for (int k = 0; k < D; ++k)
      logits[n] += panel_bf16(args[1], n, k) * h[k];
  }
}
