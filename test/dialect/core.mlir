// RUN: ds-opt %s | ds-opt | FileCheck %s

// CHECK-LABEL: func @linear
// CHECK: ds.linear %{{.+}}, %{{.+}} : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
func.func @linear(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>) -> tensor<?x96xbf16> {
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
  return %y : tensor<?x96xbf16>
}
