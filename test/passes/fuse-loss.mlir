// RUN: ds-opt --ds-fuse-loss --split-input-file %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-fuse-loss --split-input-file %t | diff %t -
// RUN: ds-opt --ds-fuse-loss --ds-decompose --split-input-file %s | FileCheck --check-prefix=BACK %s

ds.weight @w {labels = ["w"], rows = array<i64: 301>} : tensor<301x64xbf16>

// CHECK-LABEL: func @train
// CHECK-NOT: ds.linear
// CHECK: %[[P:.*]], %{{.*}} = ds.linear_log_prob %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
// CHECK: return %[[P]], %[[P]]
// BACK-LABEL: func @train
// BACK: %[[Z:.*]] = ds.linear
// BACK: ds.log_prob %[[Z]]
func.func @train(%x: tensor<?x64xbf16>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<301x64xbf16>
  %z = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %p : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 301>} : tensor<301x64xbf16>
ds.weight @b {labels = ["b"], rows = array<i64: 301>} : tensor<301xbf16>

// Logits with a bias, or that something else reads, stay.
// CHECK-LABEL: func @train
// CHECK: ds.linear {{.*}} bias
// CHECK: ds.log_prob
// CHECK: ds.linear
// CHECK: ds.log_prob
func.func @train(%x: tensor<?x64xbf16>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x301xf32>) attributes {ds.entry = "train"} {
  %w = ds.get_weight @w : tensor<301x64xbf16>
  %b = ds.get_weight @b : tensor<301xbf16>
  %z = ds.linear %x, %w bias %b : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<301xbf16>) -> tensor<?x301xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
  %q, %lse1 = ds.log_prob %y, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p, %q, %y : tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x301xf32>
}

// -----

ds.weight @w {labels = ["w"], rows = array<i64: 301>} : tensor<301x64xbf16>

// Only training has no use for the logits.
// CHECK-LABEL: func @infer
// CHECK: ds.linear
// CHECK: ds.log_prob
func.func @infer(%x: tensor<?x64xbf16>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) -> tensor<?x1xf32> attributes {ds.entry = "infer"} {
  %w = ds.get_weight @w : tensor<301x64xbf16>
  %z = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
  %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return %p : tensor<?x1xf32>
}
