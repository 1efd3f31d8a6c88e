// RUN: ds-opt --ds-assign-layouts --ds-form-kernels %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-form-kernels %t | diff %t -

ds.weight @a.proj {labels = ["a"], rows = array<i64: 96>} : tensor<96x64xbf16>
ds.weight @a.bias {labels = ["b"], rows = array<i64: 96>} : tensor<96xbf16>
ds.weight @gate_up {labels = ["g", "u"], rows = array<i64: 176, 176>, paired} : tensor<352x64xbf16>
ds.weight @norm {labels = ["n"], rows = array<i64: 64>} : tensor<64xbf16>
ds.weight @table {labels = ["t"], rows = array<i64: 301>} : tensor<301x64xbf16>
ds.weight @head {labels = ["h"], rows = array<i64: 301>} : tensor<301x64xbf16>

// The bias is added in f32, then the sum is rounded.
// CHECK-LABEL: func @linear
// CHECK: %[[B:.+]] = ds.get_weight @a.bias : tensor<96xf32>
// CHECK: ds.kernel.matmul @proj %{{.+}}, %{{.+}} extras(%[[B]] : tensor<96xf32>)
// CHECK-NEXT: ^bb0(%[[SUM:.+]]: f32, %[[E:.+]]: f32):
// CHECK-NEXT: %[[ADD:.+]] = arith.addf %[[SUM]], %[[E]] : f32
// CHECK-NEXT: %[[R:.+]] = arith.truncf %[[ADD]] : f32 to bf16
// CHECK-NEXT: ds.yield %[[R]] : bf16
func.func @linear(%x: tensor<?x64xbf16>) -> tensor<?x96xbf16> {
  %w = ds.get_weight @a.proj : tensor<96x64xbf16>
  %b = ds.get_weight @a.bias : tensor<96xbf16>
  %y = ds.linear %x, %w bias %b : (tensor<?x64xbf16>, tensor<96x64xbf16>, tensor<96xbf16>) -> tensor<?x96xbf16>
  return %y : tensor<?x96xbf16>
}

// Gate and up are rounded before SwiGLU, as two products would.
// CHECK-LABEL: func @gated
// CHECK: ds.kernel.matmul @gate_up %{{.+}}, %{{.+}} pair
// CHECK-NEXT: ^bb0(%[[A0:.+]]: f32, %[[A1:.+]]: f32):
// CHECK: %[[G0:.+]] = arith.truncf %[[A0]] : f32 to bf16
// CHECK-NEXT: %[[G:.+]] = arith.extf %[[G0]]
// CHECK-NEXT: %[[U0:.+]] = arith.truncf %[[A1]] : f32 to bf16
// CHECK-NEXT: %[[U:.+]] = arith.extf %[[U0]]
// CHECK-NEXT: %[[N:.+]] = arith.negf %[[G]]
// CHECK-NEXT: %[[X:.+]] = math.exp %[[N]]
// CHECK-NEXT: %[[D:.+]] = arith.addf
// CHECK-NEXT: %[[S:.+]] = arith.divf %[[G]], %[[D]]
// CHECK-NEXT: %[[P:.+]] = arith.mulf %[[S]], %[[U]]
// CHECK-NEXT: arith.truncf %[[P]] : f32 to bf16
func.func @gated(%x: tensor<?x64xbf16>) -> tensor<?x176xbf16> {
  %w = ds.get_weight @gate_up : tensor<352x64xbf16>
  %y = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
  return %y : tensor<?x176xbf16>
}

// CHECK-LABEL: func @norm_of
// CHECK: ds.kernel.row @norm(%{{.+}}, %{{.+}}) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xbf16>
// CHECK: %[[Q:.+]] = arith.mulf %[[X:.+]], %[[X]]
// CHECK-NEXT: %[[S:.+]] = ds.row_reduce %[[Q]]
// CHECK-NEXT: %[[M:.+]] = arith.divf %[[S]], %{{.+}}
// CHECK-NEXT: %[[E:.+]] = arith.addf %[[M]], %{{.+}}
// CHECK-NEXT: %[[T:.+]] = math.sqrt %[[E]]
// CHECK-NEXT: %[[I:.+]] = arith.divf %{{.+}}, %[[T]]
// CHECK-NEXT: %[[Y:.+]] = arith.mulf %[[X]], %[[I]]
// CHECK-NEXT: %[[Z:.+]] = arith.mulf %[[Y]], %{{.+}}
// CHECK-NEXT: arith.truncf %[[Z]]
func.func @norm_of(%x: tensor<?x64xf32>) -> tensor<?x64xbf16> {
  %g = ds.get_weight @norm : tensor<64xbf16>
  %y = ds.rms_norm %x, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

// Rows are selected by the product that reads them, also if a norm is between.
// CHECK-LABEL: func @rows
// CHECK-SAME: %[[S:.+]]: !ds.seq
// CHECK: ds.kernel.embed @embed %{{.+}}, %[[S]] layout raw
// CHECK: %[[H:.+]] = ds.kernel.row @norm
// CHECK: ds.kernel.matmul @head %[[H]], %{{.+}} rows %[[S]]
func.func @rows(%s: !ds.seq) -> tensor<?x301xf32> {
  %t = ds.get_weight @table : tensor<301x64xbf16>
  %g = ds.get_weight @norm : tensor<64xbf16>
  %w = ds.get_weight @head : tensor<301x64xbf16>
  %x = ds.embedding %t, %s : tensor<301x64xbf16> -> tensor<?x64xf32>
  %r = ds.select_rows %x, %s : tensor<?x64xf32>
  %h = ds.rms_norm %r, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
  %l = ds.linear %h, %w : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
  return %l : tensor<?x301xf32>
}

// CHECK-LABEL: func @elements
// CHECK: ds.kernel.elementwise @swiglu
// CHECK: ds.kernel.elementwise @extf
// CHECK: ds.kernel.elementwise @mulf
func.func @elements(%g: tensor<?x64xbf16>, %u: tensor<?x64xbf16>) -> tensor<?x64xf32> {
  %y = ds.swiglu %g, %u : tensor<?x64xbf16>
  %w = arith.extf %y : tensor<?x64xbf16> to tensor<?x64xf32>
  %z = arith.mulf %w, %w : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
