// RUN: ds-opt --ds-assign-layouts --verify-diagnostics %s

// expected-error @below {{'ds.weight' op expects uses that agree on a layout, got panel_bf16 and panel_f32}}
ds.weight @w {labels = ["a"], rows = array<i64: 64>} : tensor<64x64xbf16>

func.func @f(%x: tensor<?x64xbf16>, %y: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = ds.get_weight @w : tensor<64x64xbf16>
  // expected-note @below {{used here}}
  %a = ds.linear %y, %w : (tensor<?x64xf32>, tensor<64x64xbf16>) -> tensor<?x64xf32>
  %b = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32>
  return %a, %b : tensor<?x64xf32>, tensor<?x64xf32>
}
