// RUN: ds-opt --ds-fuse-rope-append %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-fuse-rope-append %t | diff %t -

// CHECK-LABEL: func @all
// CHECK-SAME: %[[ROW:.+]]: tensor<?x96xbf16>, %[[S:.+]]: !ds.seq, %[[K:.+]]: !ds.state<[2, 8], bf16>, %[[V:[^:]+]]:
// CHECK: %[[Q:.+]], %[[K1:.+]], %[[V1:.+]] = ds.rope_append %[[ROW]], %[[K]], %[[V]], %[[S]] heads 8 <half_split, dims = 8,
// CHECK-NOT: ds.rope
// CHECK-NOT: ds.append
// CHECK: ds.attend %[[Q]], %[[K1]], %[[V1]]
func.func @all(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %q = tensor.extract_slice %row[0, 0] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %kk = tensor.extract_slice %row[0, 64] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %y = ds.attend %qr, %k1, %v1, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return %y, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// Keys turn by another angle.
// CHECK-LABEL: func @other_rope
// CHECK-NOT: ds.rope_append
func.func @other_rope(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %q = tensor.extract_slice %row[0, 0] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %kk = tensor.extract_slice %row[0, 64] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 5.0e5 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return %qr, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// The order is keys, queries, values.
// CHECK-LABEL: func @other_order
// CHECK-NOT: ds.rope_append
func.func @other_order(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %kk = tensor.extract_slice %row[0, 0] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %q = tensor.extract_slice %row[0, 16] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return %qr, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// The rotated keys are read again; the keys are kept before the values exist.
// CHECK-LABEL: func @read_again
// CHECK-NOT: ds.rope_append
func.func @read_again(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, tensor<?x16xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %q = tensor.extract_slice %row[0, 0] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %kk = tensor.extract_slice %row[0, 64] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return %qr, %kr, %k1, %v1 : tensor<?x64xbf16>, tensor<?x16xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// Attention reads the keys before the values are kept.
// CHECK-LABEL: func @used_between
// CHECK-NOT: ds.rope_append
func.func @used_between(%row: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %row, %c0 : tensor<?x96xbf16>
  %q = tensor.extract_slice %row[0, 0] [%t, 64] [1, 1] : tensor<?x96xbf16> to tensor<?x64xbf16>
  %kk = tensor.extract_slice %row[0, 64] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %vv = tensor.extract_slice %row[0, 80] [%t, 16] [1, 1] : tensor<?x96xbf16> to tensor<?x16xbf16>
  %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
  %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %y = ds.attend %qr, %k1, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return %y, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}
