// RUN: ds-opt --ds-decompose %s | FileCheck %s
// The reverse of the fusions.
// RUN: ds-opt --ds-phases=to=optimise --ds-decompose --canonicalize %S/Inputs/tiny.mlir | FileCheck --check-prefix=BACK %s

// CHECK-LABEL: func @gated
// CHECK-SAME: %[[X:.+]]: tensor<?x64xbf16>, %[[W:.+]]: tensor<352x64xbf16>
// CHECK: %[[WG:.+]] = tensor.extract_slice %[[W]][0, 0] [176, 64] [1, 1]
// CHECK: %[[G:.+]] = ds.linear %[[X]], %[[WG]]
// CHECK: %[[WU:.+]] = tensor.extract_slice %[[W]][176, 0] [176, 64] [1, 1]
// CHECK: %[[U:.+]] = ds.linear %[[X]], %[[WU]]
// CHECK: ds.swiglu %[[G]], %[[U]]
func.func @gated(%x: tensor<?x64xbf16>, %w: tensor<352x64xbf16>) -> tensor<?x176xbf16> {
  %y = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
  return %y : tensor<?x176xbf16>
}

// CHECK-LABEL: func @rope_append
// CHECK: %[[Q:.+]] = tensor.extract_slice %[[ROW:.+]][0, 0] [%{{.+}}, 64]
// CHECK: %[[K:.+]] = tensor.extract_slice %[[ROW]][0, 64] [%{{.+}}, 16]
// CHECK: %[[V:.+]] = tensor.extract_slice %[[ROW]][0, 80] [%{{.+}}, 16]
// CHECK: ds.rope %[[Q]], %{{.+}} heads 8
// CHECK: %[[KR:.+]] = ds.rope %[[K]], %{{.+}} heads 2
// CHECK: ds.append %{{.+}}, %[[KR]]
// CHECK: ds.append %{{.+}}, %[[V]]
func.func @rope_append(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %q, %k1, %v1 = ds.rope_append %row, %k, %v, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return %q, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// BACK-NOT: ds.gated_linear
// BACK-NOT: ds.rope_append
// BACK: ds.append
// BACK: ds.swiglu
