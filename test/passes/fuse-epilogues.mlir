// RUN: ds-opt --ds-form-kernels --ds-fuse-epilogues %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-fuse-epilogues %t | diff %t -

// CHECK-LABEL: func @residual
// CHECK-SAME: %[[X:.+]]: tensor<?x64xf32>, %[[H:.+]]: tensor<?x64xbf16>, %[[W:.+]]: tensor<64x64xbf16>
// CHECK-NEXT: %[[Y:.+]] = ds.kernel.matmul @matmul %[[H]], %[[W]] extras(%[[X]] : tensor<?x64xf32>)
// CHECK-NEXT: ^bb0(%[[A:.+]]: f32, %[[E:.+]]: f32):
// CHECK-NEXT: %[[R:.+]] = arith.truncf %[[A]] : f32 to bf16
// CHECK-NEXT: %[[B:.+]] = arith.extf %[[R]] : bf16 to f32
// CHECK-NEXT: %[[S:.+]] = arith.addf %[[E]], %[[B]] : f32
// CHECK-NEXT: ds.yield %[[S]]
// CHECK: return %[[Y]]
func.func @residual(%x: tensor<?x64xf32>, %h: tensor<?x64xbf16>, %w: tensor<64x64xbf16>) -> tensor<?x64xf32> {
  %o = ds.linear %h, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
  %e = arith.extf %o : tensor<?x64xbf16> to tensor<?x64xf32>
  %y = arith.addf %x, %e : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The product is read again: only what follows it is merged.
// CHECK-LABEL: func @read_again
// CHECK: %[[O:.+]] = ds.kernel.matmul
// CHECK-NOT: extras
// CHECK: ds.kernel.elementwise @{{.+}}(%[[O]], %{{.+}}) : (tensor<?x64xbf16>, tensor<?x64xf32>)
// CHECK-NOT: ds.kernel.elementwise
func.func @read_again(%x: tensor<?x64xf32>, %h: tensor<?x64xbf16>, %w: tensor<64x64xbf16>) -> (tensor<?x64xf32>, tensor<?x64xbf16>) {
  %o = ds.linear %h, %w : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
  %e = arith.extf %o : tensor<?x64xbf16> to tensor<?x64xf32>
  %y = arith.addf %e, %x : tensor<?x64xf32>
  return %y, %o : tensor<?x64xf32>, tensor<?x64xbf16>
}

// Two products in one sum: one takes the other as its extra.
// CHECK-LABEL: func @parallel
// CHECK-COUNT-2: ds.kernel.matmul
// CHECK-NOT: ds.kernel.elementwise
func.func @parallel(%x: tensor<?x64xf32>, %h: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %a = ds.linear %h, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %b = ds.linear %h, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %s = arith.addf %x, %a : tensor<?x64xf32>
  %y = arith.addf %s, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
