// RUN: ds-opt %s -split-input-file -verify-diagnostics

func.func @heads(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                 %k: !ds.state<[2, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects keys of one head}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[2, 32], bf16>, !ds.seq)
     -> tensor<?x24xi32>
  return
}

// -----

func.func @weights(%q: tensor<?x256xbf16>, %w: tensor<?x8xbf16>,
                   %k: !ds.state<[1, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects weights of 8 columns of f32}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xbf16>, !ds.state<[1, 32], bf16>, !ds.seq)
     -> tensor<?x24xi32>
  return
}

// -----

func.func @count(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                 %k: !ds.state<[1, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects a result of count (24) columns, got 25}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq)
     -> tensor<?x25xi32>
  return
}

// -----

func.func @prefix(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                  %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a prefix where there are entries}}
  %y = ds.attend %q, %c, %c, %s entries %p : tensor<?x24xi32> heads 4 scale 0.2
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>)
     -> tensor<?x192xbf16>
  return
}

// -----

func.func @gradients(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                     %y: tensor<?x128xbf16>, %l: tensor<?x4xf32>, %s: !ds.seq) {
  // expected-error @below {{expects a gradient of the values or a prefix}}
  %dq, %dk, %dv = ds.attend_backward %q, %c, %c, %y, %l, %y, %s heads 4
      scale 0.2 prefix 32
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>,
         tensor<?x128xbf16>, tensor<?x4xf32>, tensor<?x128xbf16>, !ds.seq)
     -> (tensor<?x192xbf16>, tensor<?x48xbf16>, tensor<?x32xbf16>)
  return
}

// -----

func.func @norm(%x: tensor<?x32xbf16>, %g: tensor<32xbf16>, %b: tensor<31xbf16>) {
  // expected-error @below {{expects a weight of 32 elements}}
  %y = ds.layer_norm %x, %g, %b eps 1.0e-6
      : (tensor<?x32xbf16>, tensor<32xbf16>, tensor<31xbf16>) -> tensor<?x32xbf16>
  return
}
