// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @load_groups(%p: tensor<?x3xi32>, %s: !ds.seq) {
  // expected-error @below {{'ds.expert_load' op expects experts (16) to be a multiple of groups (5)}}
  %f = ds.expert_load %p, %s groups 5 expected 3 : tensor<?x3xi32> -> tensor<?x16xf32>
  return
}

// -----

func.func @load_expected(%p: tensor<?x3xi32>, %s: !ds.seq) {
  // expected-error @below {{'ds.expert_load' op expects a token to be expected in at least one group, got 0}}
  %f = ds.expert_load %p, %s groups 4 expected 0 : tensor<?x3xi32> -> tensor<?x16xf32>
  return
}

// -----

func.func @kernel_load_groups(%p: tensor<?x3xi32>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.expert_load' op expects experts (16) to be a multiple of groups (5)}}
  %f = ds.kernel.expert_load @load %p, %s groups 5 expected 3 : tensor<?x3xi32> -> tensor<?x16xf32>
  return
}

// -----

func.func @counts_rank(%p: tensor<?x3xi32>, %g: tensor<16x4xf32>) {
  // expected-error @below {{'ds.accumulate_picks' op expects counts of one dimension, got 'tensor<16x4xf32>'}}
  ds.accumulate_picks %g, %p : tensor<16x4xf32>, tensor<?x3xi32>
  return
}

// -----

func.func @step_of_nothing() {
  // expected-error @below {{'ds.balance_step' op expects 'b' to be a declared weight}}
  ds.balance_step @b rate 1.0e-3
  return
}

// -----

ds.weight @b {labels = ["b"], rows = array<i64: 16>} : tensor<16x4xf32>
func.func @step_of_matrix() {
  // expected-error @below {{'ds.balance_step' op expects a vector of f32, got 'tensor<16x4xf32>'}}
  ds.balance_step @b rate 1.0e-3
  return
}

// -----

func.func @step_types(%b: tensor<16xf32>, %c: tensor<8xf32>) {
  // expected-error @below {{'ds.kernel.balance_step' op expects vectors of one type, got 'tensor<16xf32>' and 'tensor<8xf32>'}}
  ds.kernel.balance_step @step %b, %c, %b rate 1.0e-3 : tensor<16xf32>, tensor<8xf32>, tensor<16xf32>
  return
}

// -----

func.func @query_gradient(%q: tensor<?x191xbf16>, %w: tensor<128x32xbf16>) {
  // expected-error @below {{expects a gradient of 192 columns}}
  %a = ds.absorb_query_backward %q, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
      : (tensor<?x191xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
  return
}

// -----

func.func @value_gradient(%y: tensor<?x63xbf16>, %w: tensor<128x32xbf16>) {
  // expected-error @below {{expects a gradient of 64 columns}}
  %a = ds.absorb_value_backward %y, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
      : (tensor<?x63xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
  return
}

// -----

func.func @outer_rows(%g: tensor<96x32xf32>, %d: tensor<?x128xbf16>, %x: tensor<?x192xbf16>) {
  // expected-error @below {{expects the heads' rows to lie within 'tensor<96x32xf32>'}}
  ds.accumulate_outer %g, %d, %x heads <count = 4, inputBegin = 0, inputStride = 32, weightBegin = 0, weightStride = 32, rows = 16, resultStride = 48>
      : tensor<96x32xf32>, tensor<?x128xbf16>, tensor<?x192xbf16>
  return
}

// -----

func.func @outer_columns(%g: tensor<128x32xf32>, %d: tensor<?x100xbf16>, %x: tensor<?x192xbf16>) {
  // expected-error @below {{expects the heads' columns to lie within}}
  ds.accumulate_outer %g, %d, %x heads <count = 4, inputBegin = 0, inputStride = 32, weightBegin = 0, weightStride = 32, rows = 16, resultStride = 48>
      : tensor<128x32xf32>, tensor<?x100xbf16>, tensor<?x192xbf16>
  return
}
