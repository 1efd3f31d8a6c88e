// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @embedding_columns(%t: tensor<301x74xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.embedding' op expects a table of 64 columns, got 'tensor<301x74xbf16>'}}
  %x = ds.embedding %t, %s : tensor<301x74xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_columns(%x: tensor<?x64xbf16>, %w: tensor<96x63xbf16>) {
  // expected-error @below {{'ds.linear' op expects the weight's columns (63) to be the input's (64)}}
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<96x63xbf16>) -> tensor<?x96xbf16>
  return
}

// -----

func.func @linear_rows(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>) {
  // expected-error @below {{'ds.linear' op expects the weight's rows (96) to match the result (95)}}
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x95xbf16>
  return
}

// -----

func.func @linear_rank(%x: tensor<?x64xbf16>, %w: tensor<64xbf16>) {
  // expected-error @below {{'ds.linear' op expects a weight of rank 2, got 'tensor<64xbf16>'}}
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<64xbf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @linear_bias(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<95xbf16>) {
  // expected-error @below {{'ds.linear' op expects a bias of 96 elements, got 'tensor<95xbf16>'}}
  %y = ds.linear %x, %w bias %b : (tensor<?x64xbf16>, tensor<96x64xbf16>, tensor<95xbf16>) -> tensor<?x96xbf16>
  return
}

// -----

func.func @gated_rows(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>) {
  // expected-error @below {{'ds.gated_linear' op expects the weight's rows (96) to match the result (192)}}
  %y = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
  return
}

// -----

func.func @norm_weight(%x: tensor<?x64xf32>, %g: tensor<63xbf16>) {
  // expected-error @below {{'ds.rms_norm' op expects a weight of 64 elements, got 'tensor<63xbf16>'}}
  %y = ds.rms_norm %x, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<63xbf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @norm_columns(%x: tensor<?x64xf32>, %g: tensor<64xbf16>) {
  // expected-error @below {{'ds.rms_norm' op expects as many columns out (32) as in (64)}}
  %y = ds.rms_norm %x, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x32xbf16>
  return
}

// -----

func.func @norm_eps(%x: tensor<?x64xf32>, %g: tensor<64xbf16>) {
  // expected-error @below {{'ds.rms_norm' op expects eps not to be negative}}
  %y = ds.rms_norm %x, %g eps -1.0 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @matrix_element(%x: tensor<?x64xf16>, %u: tensor<?x64xf16>) {
  // expected-error @below {{must be 2D tensor of bfloat16 type or 32-bit float values}}
  %y = ds.swiglu %x, %u : tensor<?x64xf16>
  return
}

// -----

func.func @embedding_fp8(%t: tensor<301x64xf8E4M3FN>, %s: !ds.seq) {
  // expected-error @below {{'ds.embedding' op expects a table of bf16 or f32, got 'tensor<301x64xf8E4M3FN>'}}
  %x = ds.embedding %t, %s : tensor<301x64xf8E4M3FN> -> tensor<?x64xf32>
  return
}
