// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK-LABEL: func @embedding
// CHECK: ds.embedding %{{.+}}, %{{.+}} : tensor<301x74xbf16> -> tensor<?x74xf32>
func.func @embedding(%t: tensor<301x74xbf16>, %s: !ds.seq) -> tensor<?x74xf32> {
  %x = ds.embedding %t, %s : tensor<301x74xbf16> -> tensor<?x74xf32>
  return %x : tensor<?x74xf32>
}

// CHECK-LABEL: func @linear
// CHECK: ds.linear %{{.+}}, %{{.+}} : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
// CHECK: ds.linear %{{.+}}, %{{.+}} bias %{{.+}} : (tensor<?x64xbf16>, tensor<96x64xbf16>, tensor<96xf32>) -> tensor<?x96xf32>
func.func @linear(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<96xf32>) -> (tensor<?x96xbf16>, tensor<?x96xf32>) {
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
  %z = ds.linear %x, %w bias %b : (tensor<?x64xbf16>, tensor<96x64xbf16>, tensor<96xf32>) -> tensor<?x96xf32>
  return %y, %z : tensor<?x96xbf16>, tensor<?x96xf32>
}

// CHECK-LABEL: func @gated_linear
// CHECK: ds.gated_linear %{{.+}}, %{{.+}} : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
func.func @gated_linear(%x: tensor<?x64xbf16>, %w: tensor<352x64xbf16>) -> tensor<?x176xbf16> {
  %y = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
  return %y : tensor<?x176xbf16>
}

// CHECK-LABEL: func @rms_norm
// CHECK: ds.rms_norm %{{.+}}, %{{.+}} eps 0.000000e+00 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
func.func @rms_norm(%x: tensor<?x64xf32>, %g: tensor<64xbf16>) -> tensor<?x64xbf16> {
  %y = ds.rms_norm %x, %g eps 0.0 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

// CHECK-LABEL: func @swiglu
// CHECK: ds.swiglu %{{.+}}, %{{.+}} : tensor<?x176xbf16>
func.func @swiglu(%g: tensor<?x176xbf16>, %u: tensor<?x176xbf16>) -> tensor<?x176xbf16> {
  %y = ds.swiglu %g, %u : tensor<?x176xbf16>
  return %y : tensor<?x176xbf16>
}

// CHECK-LABEL: func @select_rows
// CHECK: ds.select_rows %{{.+}}, %{{.+}} : tensor<?x64xbf16>
func.func @select_rows(%x: tensor<?x64xbf16>, %s: !ds.seq) -> tensor<?x64xbf16> {
  %y = ds.select_rows %x, %s : tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}
