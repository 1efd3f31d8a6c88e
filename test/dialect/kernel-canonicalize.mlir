// RUN: ds-opt --canonicalize %s | FileCheck %s

// CHECK-LABEL: func @twice
// CHECK: ds.kernel.elementwise @e(%arg0) : (tensor<?x64xf32>)
// CHECK-NEXT: ^bb0(%[[E:.+]]: f32):
// CHECK-NEXT: arith.mulf %[[E]], %[[E]]
func.func @twice(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = ds.kernel.elementwise @e(%x, %x) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: f32):
    %p = arith.mulf %e, %f : f32
    ds.yield %p : f32
  }
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @unread
// CHECK: ds.kernel.row @r(%arg1) : (tensor<?x64xf32>)
func.func @unread(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %g: tensor<64xf32>) -> tensor<?x64xf32> {
  %z = ds.kernel.row @r(%x, %y, %g) : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %f: f32, %w: f32):
    %s = ds.row_reduce %f : f32
    ds.yield %s : f32
  }
  return %z : tensor<?x64xf32>
}

// The only matrix stays: the kernel has its rows.
// CHECK-LABEL: func @only_matrix
// CHECK: ds.kernel.row @r(%arg0, %arg1) : (tensor<?x64xf32>, tensor<64xf32>)
func.func @only_matrix(%x: tensor<?x64xf32>, %g: tensor<64xf32>) -> tensor<?x64xf32> {
  %z = ds.kernel.row @r(%x, %g) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32, %w: f32):
    ds.yield %w : f32
  }
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func @extras
// CHECK: ds.kernel.matmul @m %arg0, %arg1 extras(%arg3 : tensor<?x64xf32>) rows %arg4
// CHECK-NEXT: ^bb0(%[[S:.+]]: f32, %[[E:.+]]: f32):
// CHECK-NEXT: %[[A:.+]] = arith.addf %[[S]], %[[E]]
// CHECK-NEXT: arith.addf %[[A]], %[[E]]
func.func @extras(%a: tensor<?x32xbf16>, %w: tensor<64x32xbf16>, %b: tensor<64xf32>, %x: tensor<?x64xf32>, %s: !ds.seq) -> tensor<?x64xf32> {
  %y = ds.kernel.matmul @m %a, %w extras(%b, %x, %x : tensor<64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) rows %s : (tensor<?x32xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32> {
  ^bb0(%sum: f32, %bias: f32, %e: f32, %f: f32):
    %r = arith.addf %sum, %e : f32
    %t = arith.addf %r, %f : f32
    ds.yield %t : f32
  }
  return %y : tensor<?x64xf32>
}
