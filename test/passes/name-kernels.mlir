// RUN: ds-opt --ds-name-kernels %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-name-kernels %t | diff %t -

// CHECK-LABEL: func @f
func.func @f(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %h: tensor<?x64xbf16>, %w: tensor<64x64xbf16>, %s: !ds.seq) {
  // Equal: the first's name.
  // CHECK: ds.kernel.elementwise @elementwise_first(
  %a = ds.kernel.elementwise @first(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    %r = arith.negf %e : f32
    ds.yield %r : f32
  }
  // CHECK: ds.kernel.elementwise @elementwise_first(
  %b = ds.kernel.elementwise @second(%y) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    %r = arith.negf %e : f32
    ds.yield %r : f32
  }
  // Another region of the same name.
  // CHECK: ds.kernel.elementwise @elementwise_first_2(
  %c = ds.kernel.elementwise @first(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    %r = math.exp %e : f32
    ds.yield %r : f32
  }
  // Selected rows are another kernel; odd letters and suffixes are replaced.
  // CHECK: ds.kernel.matmul @matmul_a_b_m16_ %
  %d = ds.kernel.matmul @"a.b_m16" %h, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    ds.yield %e : f32
  }
  // CHECK: ds.kernel.matmul @matmul_a_b_m16__2 %
  %e = ds.kernel.matmul @"a.b_m16" %h, %w rows %s : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32> {
  ^bb0(%e: f32):
    ds.yield %e : f32
  }
  // Of R rows: not the kernel of T rows above.
  // CHECK: ds.kernel.elementwise @elementwise_first_3(
  %f = ds.kernel.elementwise @first(%e) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%e2: f32):
    %r = arith.negf %e2 : f32
    ds.yield %r : f32
  }
  return
}
