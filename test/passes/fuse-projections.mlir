// RUN: ds-opt --ds-fuse-projections %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-fuse-projections %t | diff %t -

// CHECK: ds.weight @attention.qkv {labels = ["q", "k", "v"], rows = array<i64: 64, 16, 16>} : tensor<96x64xbf16>
// CHECK: ds.weight @attention.q_bias_k_bias_v_bias {labels = ["qb", "kb", "vb"], rows = array<i64: 64, 16, 16>} : tensor<96xbf16>
ds.weight @attention.q {labels = ["q"], rows = array<i64: 64>} : tensor<64x64xbf16>
ds.weight @attention.k {labels = ["k"], rows = array<i64: 16>} : tensor<16x64xbf16>
ds.weight @attention.v {labels = ["v"], rows = array<i64: 16>} : tensor<16x64xbf16>
ds.weight @attention.q_bias {labels = ["qb"], rows = array<i64: 64>} : tensor<64xbf16>
ds.weight @attention.k_bias {labels = ["kb"], rows = array<i64: 16>} : tensor<16xbf16>
ds.weight @attention.v_bias {labels = ["vb"], rows = array<i64: 16>} : tensor<16xbf16>
ds.weight @a {labels = ["a"], rows = array<i64: 16>} : tensor<16x64xbf16>
ds.weight @b {labels = ["b"], rows = array<i64: 16>} : tensor<16x64xbf16>
ds.weight @c {labels = ["c"], rows = array<i64: 16>} : tensor<16xbf16>
ds.weight @shared {labels = ["shared"], rows = array<i64: 16>} : tensor<16x64xbf16>

// CHECK-LABEL: func @qkv
// CHECK: %[[W:.+]] = ds.get_weight @attention.qkv
// CHECK: %[[B:.+]] = ds.get_weight @attention.q_bias_k_bias_v_bias
// CHECK: %[[ALL:.+]] = ds.linear %{{.+}}, %[[W]] bias %[[B]]
// CHECK: %[[Q:.+]] = tensor.extract_slice %[[ALL]][0, 0] [%{{.+}}, 64] [1, 1]
// CHECK: %[[K:.+]] = tensor.extract_slice %[[ALL]][0, 64] [%{{.+}}, 16] [1, 1]
// CHECK: %[[V:.+]] = tensor.extract_slice %[[ALL]][0, 80] [%{{.+}}, 16] [1, 1]
// CHECK-NOT: ds.linear
// CHECK: ds.rope %[[Q]]
// CHECK: ds.append %{{.+}}, %[[K]]
// CHECK: ds.append %{{.+}}, %[[V]]
func.func @qkv(%x: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %wq = ds.get_weight @attention.q : tensor<64x64xbf16>
  %wk = ds.get_weight @attention.k : tensor<16x64xbf16>
  %wv = ds.get_weight @attention.v : tensor<16x64xbf16>
  %bq = ds.get_weight @attention.q_bias : tensor<64xbf16>
  %bk = ds.get_weight @attention.k_bias : tensor<16xbf16>
  %bv = ds.get_weight @attention.v_bias : tensor<16xbf16>
  %q = ds.linear %x, %wq bias %bq : (tensor<?x64xbf16>, tensor<64x64xbf16>, tensor<64xbf16>) -> tensor<?x64xbf16>
  %q1 = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %kk = ds.linear %x, %wk bias %bk : (tensor<?x64xbf16>, tensor<16x64xbf16>, tensor<16xbf16>) -> tensor<?x16xbf16>
  %k1 = ds.append %k, %kk, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %vv = ds.linear %x, %wv bias %bv : (tensor<?x64xbf16>, tensor<16x64xbf16>, tensor<16xbf16>) -> tensor<?x16xbf16>
  %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  return %q1, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}

// One has a bias, one is read as a row of its own, one shares its weight.
// CHECK-LABEL: func @near_misses
// CHECK-COUNT-4: ds.linear
func.func @near_misses(%x: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x16xbf16>, tensor<?x16xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %wa = ds.get_weight @a : tensor<16x64xbf16>
  %wb = ds.get_weight @b : tensor<16x64xbf16>
  %wc = ds.get_weight @c : tensor<16xbf16>
  %ws = ds.get_weight @shared : tensor<16x64xbf16>
  %a = ds.linear %x, %wa bias %wc : (tensor<?x64xbf16>, tensor<16x64xbf16>, tensor<16xbf16>) -> tensor<?x16xbf16>
  %k1 = ds.append %k, %a, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %b = ds.linear %x, %wb : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
  %v1 = ds.append %v, %b, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %c = ds.linear %x, %ws : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
  %d = ds.linear %x, %ws : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
  %e = ds.rope %d, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
  return %c, %e, %k1, %v1 : tensor<?x16xbf16>, tensor<?x16xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}
