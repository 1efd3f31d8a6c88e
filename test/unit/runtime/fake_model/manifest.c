/* The section .ds.manifest of the tiny model. */
__asm__(".section .ds.manifest,\"a\",@progbits\n"
        ".incbin \"" MANIFEST_SECTION "\"\n"
        ".previous\n");
