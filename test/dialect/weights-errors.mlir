// RUN: ds-opt --split-input-file --verify-diagnostics %s

// expected-error @below {{'ds.weight' op expects a static shape, got 'tensor<?x64xbf16>'}}
ds.weight @w {labels = ["a"], rows = array<i64: 64>} : tensor<?x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects at least one label}}
ds.weight @w {labels = [], rows = array<i64>} : tensor<64x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects one row count for each of 2 labels, got 1}}
ds.weight @w {labels = ["a", "b"], rows = array<i64: 64>} : tensor<64x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects rows of all labels (63) to be dimension 0 (64)}}
ds.weight @w {labels = ["a"], rows = array<i64: 63>} : tensor<64x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects layers to be [first, count]}}
ds.weight @w {labels = ["a"], rows = array<i64: 64>, layers = array<i64: 0, 0>} : tensor<64x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects two labels of equal rows to be paired}}
ds.weight @w {labels = ["a", "b"], rows = array<i64: 32, 16>, paired} : tensor<48x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects a vector for layout vector_f32, got 'tensor<64x64xbf16>'}}
ds.weight @w layout vector_f32 {labels = ["a"], rows = array<i64: 64>} : tensor<64x64xbf16>

// -----

func.func @missing() {
  // expected-error @below {{'ds.get_weight' op expects 'w' to be a declared weight}}
  %w = ds.get_weight @w : tensor<64x64xbf16>
  return
}

// -----

ds.weight @w layout vector_f32 {labels = ["a"], rows = array<i64: 64>} : tensor<64xbf16>
func.func @type() {
  // expected-error @below {{'ds.get_weight' op expects the weight's type 'tensor<64xf32>', got 'tensor<64xbf16>'}}
  %w = ds.get_weight @w : tensor<64xbf16>
  return
}

// -----

func.func @no_body(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects 'body' to be a function}}
  %y = ds.run @body(%x, %s) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @order(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects an activation and a seq as its first operands}}
  %y = ds.run @body(%s, %x) layers 0 count 1 : (!ds.seq, tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @states_last(%x: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.run' op expects tensors, then states, after the seq, got 'tensor<?x8xf32>'}}
  %y, %k1 = ds.run @body(%x, %s, %k, %x) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16>, tensor<?x8xf32>) -> (tensor<?x8xf32>, !ds.state<[2, 8], bf16>)
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @results(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects the types of the activation and of the states as results}}
  %y = ds.run @body(%x, %s) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x9xf32>
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func @range(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects a range of at least one layer}}
  %y = ds.run @body(%x, %s) layers 0 count 0 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) -> (tensor<?x8xf32>, !ds.state<[2, 8], bf16>) {
  return %x, %k : tensor<?x8xf32>, !ds.state<[2, 8], bf16>
}
func.func @layers(%x: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16, layers = 3>) {
  // expected-error @below {{'ds.run' op expects states of 2 layers, got '!ds.state<[2, 8], bf16, layers = 3>'}}
  %y, %k1 = ds.run @body(%x, %s, %k) layers 0 count 2 : (tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16, layers = 3>) -> (tensor<?x8xf32>, !ds.state<[2, 8], bf16, layers = 3>)
  return
}

// -----

// expected-note @below {{the body has type '(tensor<?x9xf32>, !ds.seq) -> tensor<?x9xf32>'}}
func.func private @body(%x: tensor<?x9xf32>, %s: !ds.seq) -> tensor<?x9xf32> {
  return %x : tensor<?x9xf32>
}
func.func @body_type(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects a body of type '(tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>'}}
  %y = ds.run @body(%x, %s) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>
  return
}

// -----

func.func private @inner(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq) -> tensor<?x8xf32> {
  %y = ds.run @inner(%x, %s) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func @nested(%x: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects a body that runs no other}}
  %y = ds.run @body(%x, %s) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq) -> tensor<?x8xf32>
  return
}

// -----

func.func @linear_append(%x: tensor<?x16xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) {
  // expected-error @below {{'ds.append' op expects no use of a state after the operation that updates it}}
  %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  // expected-note @below {{used here}}
  %k2 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return
}

// -----

func.func private @body(%x: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[8], bf16>, %v: !ds.state<[8], bf16>) -> (tensor<?x8xf32>, !ds.state<[8], bf16>, !ds.state<[8], bf16>) {
  return %x, %k, %v : tensor<?x8xf32>, !ds.state<[8], bf16>, !ds.state<[8], bf16>
}
func.func @linear_run(%x: tensor<?x8xf32>, %s: !ds.seq, %k: !ds.state<[8], bf16>) {
  // expected-error @below {{'ds.run' op expects every state once}}
  %y, %k1, %k2 = ds.run @body(%x, %s, %k, %k) layers 0 count 1 : (tensor<?x8xf32>, !ds.seq, !ds.state<[8], bf16>, !ds.state<[8], bf16>) -> (tensor<?x8xf32>, !ds.state<[8], bf16>, !ds.state<[8], bf16>)
  return
}

// -----

// expected-error @below {{'ds.weight' op expects a weight of f8E4M3FN to be a matrix, got 'tensor<64xf8E4M3FN>'}}
ds.weight @w {labels = ["a"], rows = array<i64: 64>} : tensor<64xf8E4M3FN>

// -----

// expected-error @below {{'ds.weight' op expects a weight that is trained to be bf16 or f32, got 'tensor<64x64xf8E4M3FN>'}}
ds.weight @w {labels = ["a"], rows = array<i64: 64>, init = #ds.init<zeros>} : tensor<64x64xf8E4M3FN>

// -----

// expected-error @below {{'ds.weight' op expects layout panel_e4m3 for f8E4M3FN and for no other type, got panel_bf16 of 'tensor<64x64xf8E4M3FN>'}}
ds.weight @w layout panel_bf16 {labels = ["a"], rows = array<i64: 64>} : tensor<64x64xf8E4M3FN>

// -----

// expected-error @below {{'ds.weight' op expects layout panel_e4m3 for f8E4M3FN and for no other type, got panel_e4m3 of 'tensor<64x64xbf16>'}}
ds.weight @w layout panel_e4m3 {labels = ["a"], rows = array<i64: 64>} : tensor<64x64xbf16>

// -----

// expected-error @below {{'ds.weight' op expects copies of a weight that is one tensor}}
ds.weight @layers {labels = ["l.{i}.a"], rows = array<i64: 4>, layers = array<i64: 0, 2>, copies = ["c"]} : tensor<4x8xbf16>
