// RUN: ds-opt %s | ds-opt | FileCheck %s

ds.weight @bias {labels = ["b"], rows = array<i64: 16>, frozen, balance_rate = 1.0e-3} : tensor<16xf32>

// CHECK-LABEL: func.func @terms
func.func @terms(%x: tensor<?x16xf32>, %p: tensor<?x3xi32>, %s: !ds.seq) {
  // CHECK: ds.expert_load %{{.*}}, %{{.*}} groups 16 expected 3 : tensor<?x3xi32> -> tensor<?x16xf32>
  %f = ds.expert_load %p, %s groups 16 expected 3 : tensor<?x3xi32> -> tensor<?x16xf32>
  // CHECK: ds.expert_load {{.*}} groups 4 expected 2 distinct per_sequence
  %g = ds.expert_load %p, %s groups 4 expected 2 distinct per_sequence : tensor<?x3xi32> -> tensor<?x16xf32>
  // CHECK: ds.normalise
  %n = ds.normalise %x : tensor<?x16xf32>
  // CHECK: ds.normalise_backward
  %m = ds.normalise_backward %x, %n : tensor<?x16xf32>
  // CHECK: ds.dot_columns %{{.*}}, %{{.*}} scale 1.000000e-03
  %d = ds.dot_columns %m, %f scale 1.0e-3 : tensor<?x16xf32> -> tensor<?x1xf32>
  // CHECK: ds.row_input "sequence_share", %{{.*}} tokens
  %a = ds.row_input "sequence_share", %s tokens : tensor<?x1xf32>
  %r = arith.mulf %d, %a : tensor<?x1xf32>
  // CHECK: ds.auxiliary "balance", %{{.*}}, %{{.*}} : tensor<?x1xf32>
  ds.auxiliary "balance", %r, %s : tensor<?x1xf32>
  // CHECK: ds.fill 1.000000e+00, %{{.*}} tokens
  %o = ds.fill 1.0, %s tokens : tensor<?x1xf32>
  // CHECK: ds.scale_columns %{{.*}}, %{{.*}} scale 1.000000e-03
  %c = ds.scale_columns %g, %o scale 1.0e-3 : (tensor<?x16xf32>, tensor<?x1xf32>) -> tensor<?x16xf32>
  return
}

// CHECK-LABEL: func.func @bias_update
func.func @bias_update(%p: tensor<?x3xi32>) {
  %g = ds.get_gradient @bias : tensor<16xf32>
  // CHECK: ds.accumulate_picks %{{.*}}, %{{.*}} : tensor<16xf32>, tensor<?x3xi32>
  ds.accumulate_picks %g, %p : tensor<16xf32>, tensor<?x3xi32>
  // CHECK: ds.balance_step @bias rate 1.000000e-03
  ds.balance_step @bias rate 1.0e-3
  return
}

// CHECK-LABEL: func.func @kernels
func.func @kernels(%p: tensor<?x3xi32>, %s: !ds.seq, %b: tensor<16xf32>) {
  // CHECK: ds.kernel.expert_load @load {{.*}} groups 4 expected 2 distinct per_sequence
  %f = ds.kernel.expert_load @load %p, %s groups 4 expected 2 distinct per_sequence : tensor<?x3xi32> -> tensor<?x16xf32>
  // CHECK: ds.kernel.accumulate_picks @picks
  ds.kernel.accumulate_picks @picks %p into %b : tensor<?x3xi32> -> tensor<16xf32>
  // CHECK: ds.kernel.balance_step @step
  ds.kernel.balance_step @step %b, %b, %b rate 1.0e-3 : tensor<16xf32>, tensor<16xf32>, tensor<16xf32>
  return
}

// CHECK-LABEL: func.func @absorbed
func.func @absorbed(%q: tensor<?x192xbf16>, %y: tensor<?x64xbf16>, %w: tensor<128x32xbf16>, %g: tensor<128x32xf32>) {
  // CHECK: ds.absorb_query_backward
  %a = ds.absorb_query_backward %q, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
      : (tensor<?x192xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
  // CHECK: ds.absorb_value_backward
  %b = ds.absorb_value_backward %y, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
      : (tensor<?x64xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
  // CHECK: ds.accumulate_outer {{.*}} heads <count = 4
  ds.accumulate_outer %g, %a, %q heads <count = 4, inputBegin = 0, inputStride = 32, weightBegin = 0, weightStride = 32, rows = 16, resultStride = 48>
      : tensor<128x32xf32>, tensor<?x128xbf16>, tensor<?x192xbf16>
  return
}
