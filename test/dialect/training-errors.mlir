// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @row_input_columns(%s: !ds.seq) {
  // expected-error @below {{'ds.row_input' op expects one column, got 'tensor<?x2xf32>'}}
  %a = ds.row_input "advantage", %s : tensor<?x2xf32>
  return
}

// -----

func.func @fill_columns(%s: !ds.seq) {
  // expected-error @below {{op result #0 must be one f32 for each row, but got 'tensor<?x2xf32>'}}
  %a = ds.fill 1.0, %s : tensor<?x2xf32>
  return
}

// -----

func.func @gradient_of_nothing() {
  // expected-error @below {{'ds.get_gradient' op expects 'w' to be a declared weight}}
  %g = ds.get_gradient @w : tensor<64xf32>
  return
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 64>} : tensor<64xbf16>
func.func @gradient_type() {
  // expected-error @below {{'ds.get_gradient' op expects the weight's type in f32 'tensor<64xf32>', got 'tensor<63xf32>'}}
  %g = ds.get_gradient @w : tensor<63xf32>
  return
}

// -----

func.func @update_of_nothing() {
  // expected-error @below {{'ds.adamw' op expects 'w' to be a declared weight}}
  ds.adamw @w
  return
}

// -----

func.func @norm_of_nothing() {
  // expected-error @below {{'ds.square_sum' op expects 'w' to be a declared weight}}
  ds.square_sum @w
  return
}

// -----

// expected-error @below {{expects std for normal and for no other kind}}
ds.weight @w {labels = ["w"], rows = array<i64: 64>, init = #ds.init<ones, std = 1.0>} : tensor<64xbf16>

// -----

func.func @log_prob_targets(%z: tensor<?x301xf32>, %t: tensor<?x2xi32>, %i: tensor<?x1xf32>) {
  // expected-error @below {{operand #1 must be one token for each row, but got 'tensor<?x2xi32>'}}
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x2xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return
}

// -----

func.func @log_prob_backward(%z: tensor<?x301xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) {
  // expected-error @below {{'ds.log_prob_backward' op expects a result of 301 columns, got 'tensor<?x300xbf16>'}}
  %d = ds.log_prob_backward %z, %t, %i, %i, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x300xbf16>
  return
}

// -----

func.func @linear_log_prob(%x: tensor<?x64xbf16>, %w: tensor<301x63xbf16>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) {
  // expected-error @below {{'ds.linear_log_prob' op expects a weight of 64 columns, got 'tensor<301x63xbf16>'}}
  %p, %lse = ds.linear_log_prob %x, %w, %t, %i : (tensor<?x64xbf16>, tensor<301x63xbf16>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return
}

// -----

func.func @linear_log_prob_gradient(%x: tensor<?x64xbf16>, %w: tensor<301x64xbf16>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>, %g: tensor<300x64xf32>) {
  // expected-error @below {{'ds.linear_log_prob_backward' op expects a gradient of the weight's shape, got 'tensor<300x64xf32>'}}
  %d = ds.linear_log_prob_backward %x, %w, %t, %i, %i, %i into %g : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<300x64xf32>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @linear_t(%dy: tensor<?x96xbf16>, %w: tensor<95x64xbf16>) {
  // expected-error @below {{'ds.linear_t' op expects a matrix of 96 rows and 64 columns, got 'tensor<95x64xbf16>'}}
  %dx = ds.linear_t %dy, %w : (tensor<?x96xbf16>, tensor<95x64xbf16>) -> tensor<?x64xbf16>
  return
}

// -----

func.func @accumulate_outer(%g: tensor<64x96xf32>, %dy: tensor<?x96xbf16>, %x: tensor<?x64xbf16>) {
  // expected-error @below {{'ds.accumulate_outer' op expects a matrix of 96 rows and 64 columns, got 'tensor<64x96xf32>'}}
  ds.accumulate_outer %g, %dy, %x : tensor<64x96xf32>, tensor<?x96xbf16>, tensor<?x64xbf16>
  return
}

// -----

func.func @accumulate_columns(%g: tensor<95xf32>, %d: tensor<?x96xbf16>) {
  // expected-error @below {{'ds.accumulate_columns' op expects a gradient of 96 elements, got 'tensor<95xf32>'}}
  ds.accumulate_columns %g, %d : tensor<95xf32>, tensor<?x96xbf16>
  return
}

// -----

func.func @accumulate_norm(%g: tensor<64xf32>, %dy: tensor<?x64xbf16>, %x: tensor<?x32xf32>, %r: tensor<?x1xf32>) {
  // expected-error @below {{'ds.accumulate_norm' op expects an input of 64 columns, got 'tensor<?x32xf32>'}}
  ds.accumulate_norm %g, %dy, %x, %r : tensor<64xf32>, tensor<?x64xbf16>, tensor<?x32xf32>, tensor<?x1xf32>
  return
}

// -----

func.func @accumulate_embedding(%g: tensor<301x63xf32>, %d: tensor<?x64xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.accumulate_embedding' op expects a gradient of 64 columns, got 'tensor<301x63xf32>'}}
  ds.accumulate_embedding %g, %d, %s : tensor<301x63xf32>, tensor<?x64xf32>
  return
}

// -----

func.func @rms_norm_backward(%x: tensor<?x64xf32>, %w: tensor<64xbf16>, %dy: tensor<?x64xbf16>) {
  // expected-error @below {{'ds.rms_norm_backward' op expects a result of the input's type 'tensor<?x64xf32>', got 'tensor<?x64xbf16>'}}
  %dx, %r = ds.rms_norm_backward %x, %w, %dy eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>, tensor<?x64xbf16>) -> (tensor<?x64xbf16>, tensor<?x1xf32>)
  return
}

// -----

func.func @swiglu_pairs(%x: tensor<?x40xbf16>) {
  // expected-error @below {{'ds.swiglu_pairs' op expects whole groups of 16 columns and twice as many in as out, got 'tensor<?x40xbf16>'}}
  %y = ds.swiglu_pairs %x : tensor<?x40xbf16> -> tensor<?x20xbf16>
  return
}

// -----

func.func @swiglu_pairs_backward(%x: tensor<?x64xbf16>, %dz: tensor<?x64xbf16>) {
  // expected-error @below {{'ds.swiglu_pairs_backward' op expects whole groups of 16 columns and twice as many of the product, got 'tensor<?x64xbf16>'}}
  %y = ds.swiglu_pairs_backward %x, %dz : tensor<?x64xbf16>, tensor<?x64xbf16>
  return
}

// -----

func.func @concat_columns(%a: tensor<?x64xbf16>) {
  // expected-error @below {{'ds.concat_columns' op expects a result of 128 columns, got 'tensor<?x96xbf16>'}}
  %y = ds.concat_columns %a, %a : (tensor<?x64xbf16>, tensor<?x64xbf16>) -> tensor<?x96xbf16>
  return
}

// -----

func.func @attend_lse(%q: tensor<?x64xbf16>, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>, %s: !ds.seq) {
  // expected-error @below {{'ds.attend' op expects lse of 8 columns of f32, got 'tensor<?x2xf32>'}}
  %y, %lse = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>, tensor<?x2xf32>
  return
}

// -----

func.func @attend_backward(%q: tensor<?x64xbf16>, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>, %l: tensor<?x8xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.attend_backward' op expects the gradient of keys to be 16 columns of 'bf16', got 'tensor<?x64xbf16>'}}
  %dq, %dk, %dv = ds.attend_backward %q, %k, %v, %q, %l, %q, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>, tensor<?x64xbf16>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq) -> (tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?x16xbf16>)
  return
}

// -----

func.func private @body(%x: tensor<?x64xf32>, %s: !ds.seq) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  return %x, %x : tensor<?x64xf32>, tensor<?x64xf32>
}
func.func @stack_layers(%x: tensor<?x64xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.run' op expects stacks of 3 layers, got '!ds.stack<tensor<?x64xf32>, layers = 2>'}}
  %y:2 = ds.run @body(%x, %s) layers 0 count 3 : (tensor<?x64xf32>, !ds.seq) -> (tensor<?x64xf32>, !ds.stack<tensor<?x64xf32>, layers = 2>)
  return
}
