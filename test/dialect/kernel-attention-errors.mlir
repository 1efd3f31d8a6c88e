// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @lse(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.attention' op expects lse of 4 columns of f32, got 'tensor<?x2xf32>'}}
  %y, %lse = ds.kernel.attention @a %q, %k, %k, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x32xbf16>, tensor<?x2xf32>
  return
}

// -----

func.func @delta_heads(%y: tensor<?x16xbf16>) {
  // expected-error @below {{'ds.kernel.attention_delta' op expects columns (16) to be a multiple of heads (3)}}
  %d = ds.kernel.attention_delta @d %y, %y heads 3 : (tensor<?x16xbf16>, tensor<?x16xbf16>) -> tensor<?x3xf32>
  return
}

// -----

func.func @delta_columns(%y: tensor<?x16xbf16>, %dy: tensor<?x8xbf16>) {
  // expected-error @below {{'ds.kernel.attention_delta' op expects a gradient of 16 columns, got 8}}
  %d = ds.kernel.attention_delta @d %y, %dy heads 2 : (tensor<?x16xbf16>, tensor<?x8xbf16>) -> tensor<?x2xf32>
  return
}

// -----

func.func @delta_result(%y: tensor<?x16xbf16>) {
  // expected-error @below {{'ds.kernel.attention_delta' op expects a result of 2 columns of f32, got 'tensor<?x2xbf16>'}}
  %d = ds.kernel.attention_delta @d %y, %y heads 2 : (tensor<?x16xbf16>, tensor<?x16xbf16>) -> tensor<?x2xbf16>
  return
}

// -----

func.func @query_gradient(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %l: tensor<?x4xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.attention_backward_query' op expects a result like the queries 'tensor<?x32xbf16>', got 'tensor<?x32xf32>'}}
  %dq = ds.kernel.attention_backward_query @dq %q, %k, %k, %l, %l, %q, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x32xbf16>, !ds.seq) -> tensor<?x32xf32>
  return
}

// -----

func.func @output_gradient(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %l: tensor<?x4xf32>, %dy: tensor<?x16xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.attention_backward_query' op expects a result of 4 x 8 columns, got 16}}
  %dq = ds.kernel.attention_backward_query @dq %q, %k, %k, %l, %l, %dy, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x16xbf16>, !ds.seq) -> tensor<?x32xbf16>
  return
}

// -----

func.func @backward_delta(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %l: tensor<?x4xf32>, %d: tensor<?x4xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.attention_backward_keys' op expects delta of 4 columns of f32, got 'tensor<?x4xbf16>'}}
  %dk, %dv = ds.kernel.attention_backward_keys @dkv %q, %k, %k, %l, %d, %q, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x4xf32>, tensor<?x4xbf16>, tensor<?x32xbf16>, !ds.seq) -> (tensor<?x16xbf16>, tensor<?x16xbf16>)
  return
}

// -----

func.func @key_gradient(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %l: tensor<?x4xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.attention_backward_keys' op expects the gradient of values to be 16 columns of 'bf16', got 'tensor<?x16xf32>'}}
  %dk, %dv = ds.kernel.attention_backward_keys @dkv %q, %k, %k, %l, %l, %q, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x32xbf16>, !ds.seq) -> (tensor<?x16xbf16>, tensor<?x16xf32>)
  return
}
