// RUN: ds-opt --ds-differentiate --split-input-file --verify-diagnostics %s

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32xf32>
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  // expected-error @below {{'math.tanh' op has no derivative}}
  %z = math.tanh %y : tensor<?x32xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x32xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32xf32>
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  // expected-error @below {{'ds.log_prob' op has no derivative of result 1}}
  %p, %lse = ds.log_prob %y, %t, %i : (tensor<?x32xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %lse, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>, frozen} : tensor<32xf32>
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  // expected-error @below {{expects a loss that depends on a weight that is trained}}
  %p, %lse = ds.log_prob %y, %t, %i : (tensor<?x32xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32xf32>
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>, %n: index) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  // expected-error @below {{expects column slices that make up the whole row}}
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  %z = tensor.extract_slice %y[0, 16] [%n, 16] [1, 1] : tensor<?x32xf32> to tensor<?x16xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x16xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32xf32>
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>, %n: index) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  // expected-error @below {{'tensor.extract_slice' op has no derivative but of whole columns}}
  %z = tensor.extract_slice %y[1, 0] [%n, 32] [1, 1] : tensor<?x32xf32> to tensor<?x32xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x32xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

// expected-error @below {{expects to return losses and log-probabilities}}
func.func @train(%s: !ds.seq, %l: tensor<?x1xf32>) -> tensor<?x1xf32> attributes {ds.entry = "train"} {
  return %l : tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 32>} : tensor<32xf32>
func.func private @layer(%x: tensor<?x32xf32>, %s: !ds.seq, %a: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %y = arith.mulf %x, %a : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @train(%s: !ds.seq, %x: tensor<?x32xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<32xf32>
  %y = ds.rms_norm %x, %w eps 1.0e-6 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  // expected-error @below {{'ds.run' op has no derivative by a value that all layers share}}
  %z = ds.run @layer(%x, %s, %y) layers 0 count 2 : (tensor<?x32xf32>, !ds.seq, tensor<?x32xf32>) -> tensor<?x32xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x32xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}
