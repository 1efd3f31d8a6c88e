// RUN: ds-opt %s | ds-opt | FileCheck %s

// CHECK-LABEL: func.func @select
func.func @select(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                  %k: !ds.state<[1, 32], bf16>, %a: tensor<?x192xbf16>,
                  %c: !ds.state<[1, 48], bf16>, %s: !ds.seq) -> tensor<?x128xbf16> {
  // CHECK: ds.select_tokens {{.*}} heads 8 count 24
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq)
     -> tensor<?x24xi32>
  // CHECK: ds.attend {{.*}} entries %{{.*}} : tensor<?x24xi32> heads 4 {{.*}} prefix 32
  %y = ds.attend %a, %c, %c, %s entries %p : tensor<?x24xi32> heads 4 scale 0.2 prefix 32
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>)
     -> tensor<?x128xbf16>
  return %y : tensor<?x128xbf16>
}

// CHECK-LABEL: func.func @backward
func.func @backward(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                    %y: tensor<?x128xbf16>, %l: tensor<?x4xf32>,
                    %p: tensor<?x24xi32>, %s: !ds.seq) -> tensor<?x48xbf16> {
  // CHECK: ds.attend_backward {{.*}} entries %{{.*}} heads 4 {{.*}} prefix 32
  %dq, %dc = ds.attend_backward %q, %c, %c, %y, %l, %y, %s entries %p heads 4
      scale 0.2 prefix 32
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>,
         tensor<?x128xbf16>, tensor<?x4xf32>, tensor<?x128xbf16>, !ds.seq,
         tensor<?x24xi32>) -> (tensor<?x192xbf16>, tensor<?x48xbf16>)
  return %dc : tensor<?x48xbf16>
}

// CHECK-LABEL: func.func @norm
func.func @norm(%x: tensor<?x32xbf16>, %g: tensor<32xbf16>) -> tensor<?x32xbf16> {
  // CHECK: ds.layer_norm %{{.*}}, %{{.*}}, %{{.*}} eps
  %y = ds.layer_norm %x, %g, %g eps 1.0e-6
      : (tensor<?x32xbf16>, tensor<32xbf16>, tensor<32xbf16>) -> tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}
