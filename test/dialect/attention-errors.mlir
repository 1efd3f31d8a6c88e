// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @rope_heads(%x: tensor<?x64xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.rope' op expects columns (64) to be a multiple of heads (7)}}
  %y = ds.rope %x, %s heads 7 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  return
}

// -----

func.func @rope_dims(%x: tensor<?x64xbf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.rope' op expects rotated dims (16) to fit a head of 8 columns}}
  %y = ds.rope %x, %s heads 8 <half_split, dims = 16, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  return
}

// -----

// expected-error @below {{expects dims (7) to be even and positive}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 7, theta = 1.0e4 : f64>} {
  return
}

// -----

// expected-error @below {{expects theta to be positive}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 0.0 : f64>} {
  return
}

// -----

// expected-error @below {{expects scaling type 'linear', 'llama3' or 'yarn', got 'ntk'}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 1.0 : f64, scaling = {type = "ntk"}>} {
  return
}

// -----

// expected-error @below {{expects scaling to have a number 'factor'}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 1.0 : f64, scaling = {type = "linear"}>} {
  return
}

// -----

// expected-error @below {{expects scaling to have a number 'original_max_position_embeddings'}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 1.0 : f64, scaling = {type = "yarn", factor = 2.0}>} {
  return
}

// -----

// expected-error @below {{expects first (-2) not to be negative}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 1.0 : f64, first = -2>} {
  return
}

// -----

// expected-error @below {{expects scaling to have a string 'type'}}
func.func @f() attributes {a = #ds.rope<half_split, dims = 8, theta = 1.0 : f64, scaling = {factor = 2.0}>} {
  return
}

// -----

// expected-error @below {{expects a state's dimensions to be positive}}
func.func private @f(!ds.state<[2, 0], bf16>)

// -----

// expected-error @below {{expects a state of bf16 or f32, got 'i8'}}
func.func private @f(!ds.state<[2, 8], i8>)

// -----

func.func @append_width(%x: tensor<?x15xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.append' op expects rows of 16 values, got 'tensor<?x15xbf16>'}}
  %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x15xbf16>
  return
}

// -----

func.func @append_element(%x: tensor<?x16xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.append' op expects rows of 'bf16', got 'tensor<?x16xf32>'}}
  %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x16xf32>
  return
}

// -----

func.func @append_layers(%x: tensor<?x16xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16, layers = 2>) {
  // expected-error @below {{'ds.append' op expects the state of one layer, got '!ds.state<[2, 8], bf16, layers = 2>'}}
  %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16, layers = 2>, tensor<?x16xbf16>
  return
}

// -----

func.func @attend_heads(%q: tensor<?x56xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.attend' op expects heads (7) to be a multiple of key heads (2)}}
  %y = ds.attend %q, %k, %k, %s heads 7 scale 0.353 : (tensor<?x56xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x56xbf16>
  return
}

// -----

func.func @attend_value_heads(%q: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[4, 8], bf16>) {
  // expected-error @below {{'ds.attend' op expects as many value heads (4) as key heads (2)}}
  %y = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[4, 8], bf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @attend_shape(%q: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[16], bf16>) {
  // expected-error @below {{'ds.attend' op expects keys and values of shape [heads, dims]}}
  %y = ds.attend %q, %k, %k, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[16], bf16>, !ds.state<[16], bf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @attend_elements(%q: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], f32>) {
  // expected-error @below {{'ds.attend' op expects keys and values of one element type}}
  %y = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], f32>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @attend_query(%q: tensor<?x48xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.attend' op expects queries of 8 x 8 columns, got 48}}
  %y = ds.attend %q, %k, %k, %s heads 8 scale 0.353 : (tensor<?x48xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @attend_result(%q: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.attend' op expects a result of 8 x 8 columns, got 48}}
  %y = ds.attend %q, %k, %k, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x48xbf16>
  return
}

// -----

func.func @rope_append_columns(%x: tensor<?x95xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.rope_append' op expects rows of 96 columns, got 95}}
  %q, %k1, %v1 = ds.rope_append %x, %k, %v, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : (tensor<?x95xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @rope_append_query(%x: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.rope_append' op expects queries of 8 x 8 columns, got 48}}
  %q, %k1, %v1 = ds.rope_append %x, %k, %v, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x48xbf16>
  return
}
