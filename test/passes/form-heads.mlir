// RUN: ds-opt --ds-form-kernels %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-form-kernels %t | diff %t -

// Two ropes: the body gets the angles of both, the entry computes them once.
// CHECK-LABEL: func private @body
// CHECK-SAME: %[[X:.+]]: tensor<?x96xbf16>, %[[S:.+]]: !ds.seq, %[[A:.+]]: tensor<?x8xf32>, %[[B:.+]]: tensor<?x4xf32>, %[[K:.+]]: !ds.state<[2, 8], bf16>, %[[V:.+]]: !ds.state<[2, 8], bf16>)
// CHECK: %[[Q:.+]], %[[KV:.+]]:2 = ds.kernel.heads @rope_append %[[X]], %[[A]], %[[S]] states(%[[K]], %[[V]]) <half_split, dims = 8, theta = 1.000000e+04 : f64>
// CHECK-SAME: [#ds.segment<begin = 0, heads = 8, dim = 8, rotate = true, dest = result>, #ds.segment<begin = 64, heads = 2, dim = 8, rotate = true, dest = key>, #ds.segment<begin = 80, heads = 2, dim = 8, rotate = false, dest = value>]
// CHECK: ds.kernel.heads @rope %[[Q]], %[[B]], %[[S]] <interleaved, dims = 4,
func.func private @body(%x: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %q, %k1, %v1 = ds.rope_append %x, %k, %v, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  %q1 = ds.rope %q, %s heads 8 <interleaved, dims = 4, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  return %x, %k1, %v1 : tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// CHECK-LABEL: func @entry
// CHECK-SAME: %[[S:.+]]: !ds.seq
// CHECK: %[[A:.+]] = ds.kernel.angles @angles %[[S]] <half_split, dims = 8,
// CHECK: %[[B:.+]] = ds.kernel.angles @angles %[[S]] <interleaved, dims = 4,
// CHECK-NOT: ds.kernel.angles
// CHECK: ds.run @body(%{{.+}}, %[[S]], %[[A]], %[[B]], %{{.+}}, %{{.+}}) layers 0 count 2
// CHECK: ds.run @body(%{{.+}}, %[[S]], %[[A]], %[[B]], %{{.+}}, %{{.+}}) layers 2 count 2
func.func @entry(%s: !ds.seq, %x: tensor<?x96xbf16>, %k: !ds.state<[2, 8], bf16, layers = 2>, %v: !ds.state<[2, 8], bf16, layers = 2>) -> tensor<?x96xbf16> attributes {ds.entry = "infer"} {
  %y, %k1, %v1 = ds.run @body(%x, %s, %k, %v) layers 0 count 2 : (tensor<?x96xbf16>, !ds.seq, !ds.state<[2, 8], bf16, layers = 2>, !ds.state<[2, 8], bf16, layers = 2>) -> (tensor<?x96xbf16>, !ds.state<[2, 8], bf16, layers = 2>, !ds.state<[2, 8], bf16, layers = 2>)
  %z, %k2, %v2 = ds.run @body(%y, %s, %k1, %v1) layers 2 count 2 : (tensor<?x96xbf16>, !ds.seq, !ds.state<[2, 8], bf16, layers = 2>, !ds.state<[2, 8], bf16, layers = 2>) -> (tensor<?x96xbf16>, !ds.state<[2, 8], bf16, layers = 2>, !ds.state<[2, 8], bf16, layers = 2>)
  return %z : tensor<?x96xbf16>
}

// What rope and append read of a wider row is part of their segments; the
// rotation of appended rows is part of the append.
// CHECK-LABEL: func @slices
// CHECK-SAME: %[[ROW:.+]]: tensor<?x96xbf16>
// CHECK-NOT: tensor.extract_slice
// CHECK-DAG: ds.kernel.heads @rope %[[ROW]], {{.+}} [#ds.segment<begin = 0, heads = 8, dim = 8, rotate = true, dest = result>]
// CHECK-DAG: ds.kernel.heads @append %[[ROW]], {{.+}} [#ds.segment<begin = 64, heads = 2, dim = 8, rotate = true, dest = key>]
// CHECK-DAG: ds.kernel.heads @append %[[ROW]], {{.+}} [#ds.segment<begin = 80, heads = 2, dim = 8, rotate = false, dest = value>]
// CHECK: ds.kernel.attention @attention
func.func @slices(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %q = tensor.extract_slice %row[0, 0] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %kk = tensor.extract_slice %row[0, 64] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 5.0e5 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %y = ds.attend %qr, %k1, %v1, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return %y, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// Columns that another operation reads are copied; nothing turns here.
// CHECK-LABEL: func @no_rope
// CHECK: ds.kernel.heads @slice %{{.+}} [#ds.segment<begin = 16, heads = 1, dim = 64, rotate = false, dest = result>]
func.func @no_rope(%row: tensor<?x80xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x80xbf16>
  %q = tensor.extract_slice %row[0, 16] [%t, 64] [1, 1] : tensor<?x80xbf16> to tensor<?x64xbf16>
  %y = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}
