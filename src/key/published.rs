//! Public keys whose private half is published.
//!
//! Test keys end up in real registries: an operator tests with the key of the RFC and forgets to
//! remove it. Every reader of the RFC can then sign. So such keys are listed here.
//!
//! The table holds the first eight bytes of each public key. An honest key is mistaken for one of
//! them with a probability of one in 2^55. `tests/engine/curve.rs` derives every row from its seed
//! and compares it.

use super::KeyKind;

mod p256;

/// Returns true if the private half of a key is published. `key` is the bytes of an Ed25519 key, or
/// the x coordinate of a P-256 key.
pub(crate) fn is_published(kind: KeyKind, key: &[u8]) -> bool {
    let published = match kind {
        KeyKind::Ed25519 => PUBLISHED,
        KeyKind::P256 => p256::PUBLISHED,
    };
    // The search takes about three hundred comparisons for each decoded key, far less time than
    // decoding the key.
    key.first_chunk().is_some_and(|start| published.contains(&u64::from_be_bytes(*start)))
}

#[rustfmt::skip]
const PUBLISHED: &[u64] = &[
    // RFC 9421 B.1.4, also the test key of Web Bot Auth.
    0x26b40b8f_93fff3d8,
    // RFC 8032 section 7.1: TEST 1 (RFC 8037 appendix A too), 2, 3, 1024, SHA(abc).
    0xd75a9801_82b10ab7, 0x3d4017c3_e843895a, 0xfc51cd8e_6218a1a3, 0x278117fc_144c7234,
    0xec172b93_ad5e563b,
    // RFC 8032 section 7.2: the test vectors of Ed25519ctx.
    0xdfc9425e_4f968f7f, 0x0f1d1274_943b9141,
    // RFC 8410 section 10: the example of a private key.
    0x19bf4409_6984cdfe,
    // The PASETO specification's test vectors.
    0x1eb9dbbb_bc047c03,
    // Keys whose seed is 32 times the same byte, 00 to ff.
    0x3b6a27bc_ceb6a42d, 0x8a88e3dd_7409f195, 0x8139770e_a87d175f, 0xed4928c6_28d1c2c6,
    0xca93ac17_05187071, 0x6e7a1cdd_29b0b78f, 0x8a875fff_1eb38451, 0xea4a6c63_e29c520a,
    0x1398f62c_6d1a457c, 0xfd172438_5aa0c75b, 0x43a72e71_4401762d, 0x66be7e33_2c7a4533,
    0x0b513ad9_b4924015, 0x91a28a0b_74381593, 0x0beef5a9_e679e6a3, 0xd9bf2148_748a85c8,
    0x5c9c6df2_61c9cb84, 0xd04ab232_742bb4ab, 0x204040e3_64c10f2b, 0x66cd608b_928b88e5,
    0x20828bf5_c5bdcacb, 0xd54207da_194977dc, 0x511c34a1_a2cb521d, 0x31debe55_d37c7227,
    0x53470962_558a6e08, 0x31f3322d_4923d36c, 0x64c30815_ff26d5c4, 0x1e2a137c_7fe2279f,
    0xb4088cd3_b8962e64, 0xe8da63a4_0ca687c8, 0xacdb0e29_743f0ccb, 0x43046bfe_4092b3e9,
    0x4ed32f63_bf35f0ee, 0x884b8857_f4eaa161, 0xa09aa5f4_7a675980, 0x74f85cda_34d1c27c,
    0x58936604_abda112b, 0xbed7d2ab_668da3ef, 0x9109db55_f79797a3, 0xee45ecb9_aca01a0a,
    0xe92eb605_4fe9bc68, 0xfa483414_7f6e690c, 0x197f6b23_e16c8532, 0x4508a07a_a941707f,
    0x9475c6cf_0eda3405, 0xa87b8a99_bd88a696, 0x5b8649c0_cfcdbe78, 0x6e32c197_41f0af82,
    0x1ba4075b_77c9e3fb, 0x48075a59_7e721a15, 0x5e212c09_80e4b39f, 0x17cb79fb_2b4120f2,
    0xeb2cf13b_f7ae3a5f, 0xa6d2455e_a3a5771a, 0x68f4b601_7d0f876a, 0x2c848ad8_664ee651,
    0x76d81b33_ba721df8, 0x2f0a7b29_f5365200, 0x03528a84_cf35f33d, 0xcf1b37e8_5dc00aee,
    0x5526f742_941711b3, 0x70df9e22_79adbec6, 0xf95c6a5d_ff031fac, 0x3f0dda81_e6abbcc5,
    0x677a74d9_64e4a84f, 0xdb995fe2_5169d141, 0x2152f8d1_9b791d24, 0x22fc2977_92f0b6ff,
    0xd759793b_bc13a281, 0x6355691c_178a8ff9, 0xee93a4f6_6f8d16b8, 0xe28a8970_753332bd,
    0xd4eec186_9fb1b8a4, 0x772c8a44_2b7db06e, 0x353c8a7f_eeca38b2, 0x7ea0e3bd_52e207c9,
    0x927308f5_3d676550, 0x62a611b4_72d89b0e, 0x8e486e8f_b79499db, 0x00e3c56b_91ab0a01,
    0x3ef08959_033028c8, 0xc050c563_7a44fa86, 0x2012cb90_ca60e8e5, 0xf80cccdc_e4ae1c07,
    0x9f49439e_9db095bc, 0xc6822637_c7d310ec, 0x88df5564_13538b00, 0xc84069fa_2216c6ed,
    0xdac31ebc_a159d283, 0xab7260f2_0edab820, 0x0d755075_4e0800a5, 0x6b734a8e_ff246fe7,
    0xed6a47a3_9da869b5, 0x5e449ad6_fa4b2d65, 0x8146640f_02493af4, 0xef747fff_9b4726c7,
    0x4a72e403_5bb435d0, 0xaf06a3e3_291714e4, 0x2df04125_f0015afb, 0xa7f6dfaf_8f38b89b,
    0x2bc2800b_3316e009, 0xd62f016a_1efd1e4f, 0x34b4d904_3156cb6d, 0x12a41592_c8b7c17d,
    0x54b0d81d_0fa7d00e, 0xe34d3a01_b6112e14, 0x750826c2_81a4f691, 0x8320a519_77d8c38c,
    0x6d44f939_f829d435, 0x8b237d78_8e8eaaef, 0x014e4d92_2c596a38, 0xc86d01ad_8b2fb694,
    0x19204c8c_3ba85ba0, 0xe2fe2a39_b7326642, 0x5b6489c9_c7fd0dcf, 0xfec14286_73f6afe8,
    0x555f469c_22188e90, 0x2c9b9a42_d57adffd, 0xb5f90095_318f3f04, 0xc853ad0f_0cd2b619,
    0xee31f83c_88a71219, 0x4745d19c_66ec9179, 0xba42458e_83ba7926, 0x7f747b67_bd3fe63c,
    0xf78b1da9_b3dfb3fa, 0xa386c3e9_c8eb3f00, 0x51bfae7f_a92c5155, 0xb2a942ff_4c98718b,
    0xe5687b6d_11ccfb63, 0x93db9f2e_e0f7e39e, 0xfa01347a_991e04ae, 0xd76dfc6e_3d5e78f4,
    0x3e6ea7ac_ba59568c, 0x100ba90b_553ccb23, 0x673d6ba2_fa48ce76, 0xf5eacab7_7517c5b4,
    0xb2491d95_02ae2863, 0xa11dbe28_d6b2c2d8, 0xfd1503f1_9f59731c, 0x46dc9b9f_5684e05b,
    0xfcbe3863_2417bb5b, 0x8c3da879_bd09c821, 0xab3fa2fd_ab77f987, 0xa8eebe0d_f1d72f38,
    0x1a381879_f8a8dc97, 0x8ca63145_907a2e6c, 0xc6d0c796_bb4c3c92, 0x11fd4571_4f88a20d,
    0x0e34c045_c22372f7, 0x4c71b3dc_27513f99, 0x7dbebbdf_b06cb2ae, 0xe1b71abf_d3232804,
    0x7be29b98_ba0937ea, 0x332ebe8d_27cb7323, 0x1bee74bb_8f513f1b, 0xe5145a37_d984d244,
    0x23b63170_9df22832, 0x40b0f498_a16f2b94, 0xbcd6e7fd_1a5abcae, 0xebc198b8_b8bfae77,
    0xb533d8ad_9fcfbdde, 0xbc7cbcb5_636375fa, 0x65e8f9b0_bc6eae12, 0xacf12b4a_cc1c660a,
    0xa0a0c227_d8a12543, 0x29e5833a_915a6429, 0x38aa2fe4_3ae0b788, 0xc9571eeb_4aa9de11,
    0xbe9a7e37_9e19f4cc, 0xc2f38d34_dafe4025, 0xe734ea6c_2b6257de, 0x248acbdb_af9e0501,
    0xf9b43983_4644d493, 0x64a08e65_9c4e7500, 0x650b7dca_553cae69, 0xd1f82684_150380e6,
    0x705fbac0_1f551989, 0x4721b5b6_32272e65, 0x55154f42_065ea5a1, 0x5912dac0_20dcdaba,
    0x52bcd4c6_8a8a09d9, 0x91ea2db8_26003904, 0x805440ee_48051fc8, 0x7b242f97_78bbf9d1,
    0x46fd485b_646d606a, 0x259145ad_2655219b, 0xca7d75b4_ea1d5a86, 0x7d59c562_3dd40a74,
    0x020dacf8_4f4470ae, 0x623e770b_1719760c, 0x953a13f9_ce9ea62b, 0x52a53949_4e3ead2f,
    0x5b9437ad_eaffbe8f, 0xacdcc849_4d458f44, 0xb7282fe4_72f97641, 0xd404bc44_565aedbb,
    0xdc517ff5_27e7bcfa, 0x2db79763_6e323ed5, 0xbb47d33d_777b4559, 0xd5af25e2_04ad03d0,
    0x97ffc883_c80bee72, 0xba3b611e_2882c1b6, 0x466627d5_2773c9d5, 0xc286554a_c7959b2d,
    0xca57eed3_0e4a7274, 0xfc947730_f49eb014, 0x53840868_cb293a6e, 0x6cfcb070_a2b1adc9,
    0xe72c28fe_718e3a30, 0x6ee091fd_280a9b68, 0x41e8fde1_32ad670e, 0xb4740ba4_e0f7e057,
    0xed3234b2_76d4ceda, 0xa1180433_59e7cb45, 0x80ea10b9_e77df506, 0xbb787e59_01ac3816,
    0x60de5ecb_8aa98842, 0x8e4190cd_68fdc07d, 0xd986763d_7229cc77, 0x3a1c28c3_39928a98,
    0xe1902ba6_3dc9495d, 0x68460ebe_f3b13816, 0x8d4abe07_4fef9229, 0x97f7135a_9a2690e7,
    0x9ff6204d_61b59a9e, 0x25fc32c4_78a5a4f8, 0xc91cb3ce_2b84e4ba, 0x4dd9b649_6a27571a,
    0x99a7a471_e0ad5d0e, 0x4e6008b0_1b74e49e, 0xed5721c4_1369b6c6, 0xba44dfdf_703b84ab,
    0xaaba072c_a1732db6, 0x0a81997d_7673889d, 0xefafc42f_4b192e5b, 0x7866ae77_a15ed359,
    0x79d279cc_ef2cc3b1, 0x350d6262_9e4a2ed9, 0x814722de_71c5b14e, 0x48be36a4_9577c9d5,
    0x5f671329_4c3cf1a8, 0xdcbe4fda_f43c6146, 0x70082ae9_f98861b5, 0xb8fc9d70_b330b5d3,
    0x3e37e8f0_ceeaa3b7, 0x379bd5b7_d1494939, 0xc9077518_cfa43876, 0x3d84d35b_a3c075e8,
    0x1660d273_222b2922, 0xefe73e55_679c12ea, 0x3b8c3c1e_21aef42e, 0xee692b43_56f36034,
    0xdded14e9_5286921f, 0xe63cc9f1_bfea63e0, 0xca987f7a_6cd86342, 0x76a15920_44a6e4f5,
    // Keys whose seed is 31 zero bytes and then 01 to 10; the examples of the did:key specification
    // are among them.
    0x4cb5abf6_ad79fbf5, 0x7422b988_7598068e, 0xf381626e_41e7027e, 0xfd50b8e3_b144ea24,
    0xfde4fba0_30ad002f, 0xb4c92afb_3ba57f3a, 0x3ee2a8a7_283cb2fd, 0xbe3b4f95_d1d875d7,
    0xdd7e84d0_10aed28a, 0x52725008_1bdcdc2e, 0x43aae8eb_bdedb969, 0x1262bc6d_5408a3c4,
    0x3ab9cc26_e2e4142e, 0x9035dd13_c4c9eb3d, 0x67540304_3288cc7c, 0xb92aaa7c_8db21139,
    // Keys whose seed is a byte 01 to 10 and then 31 zero bytes.
    0xcecc1507_dc1ddd72, 0x6b79c57e_6a095239, 0xdadbd184_a2d526f1, 0x9be32877_95907809,
    0xf4bd4652_1ce7b578, 0x34790764_308e0b7b, 0xa2fa2f4a_355ba2e9, 0xd4c5061b_81c4682b,
    0xbb5c6724_82b0dcca, 0x513523c8_b48319b6, 0x7380a4b2_8d0b49b4, 0x2ebbc3db_123aa602,
    0x52946d19_dc204837, 0x015743be_93526e88, 0xe8d8764d_05e660a0, 0x69104ef2_0c6676aa,
    // Keys whose seed counts up or down: 00 to 1f, 01 to 20, 1f to 00, 20 to 01.
    0x03a107bf_f3ce10be, 0x79b5562e_8fe654f9, 0x712651f4_50ba05b6, 0x3c3ed146_bdb4bfde,
];
