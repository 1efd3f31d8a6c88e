// RUN: ds-opt --ds-form-reference --split-input-file --verify-diagnostics %s

func.func @training(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{'ds.stop_gradient' op expects an operation whose meaning is known}}
  %y = ds.stop_gradient %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Rows of a weight are no columns of an activation.
func.func @rows(%w: tensor<64x8xf32>) -> tensor<32x8xf32> {
  // expected-error @below {{'tensor.extract_slice' op expects an operation whose meaning is known}}
  %y = tensor.extract_slice %w[0, 0] [32, 8] [1, 1] : tensor<64x8xf32> to tensor<32x8xf32>
  return %y : tensor<32x8xf32>
}
