# Completion of chatd for bash. In ~/.bashrc: source <(chatd completion bash)
_chatd() {
  # Bash splits the line at "=" and ":", too. Here what stands together is one word again.
  local rest=${COMP_LINE:0:COMP_POINT} words=() word blanks i n=-1
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    blanks=${rest%%[![:space:]]*}
    rest=${rest#"$blanks"}
    ((i == COMP_CWORD)) && word=$rest
    rest=${rest#"$word"}
    ((i == 0)) || [[ -n $blanks ]] && ((n += 1))
    words[n]+=$word
  done
  local last=$word
  [[ $last == [=:] ]] && last=
  # What bash does not take for a part of the word stays on the line as it is.
  local typed=${words[n]}
  local kept=${typed%"$last"}
  words=("${words[@]//[\"\'\\]/}")
  local program=EXECUTABLE line
  [[ -n $(type -P "${words[0]}") ]] && program=${words[0]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
    else
      line=${line%%$'\t'*}
      COMPREPLY+=("${line#"$kept"}")
    fi
  done < <("$program" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _chatd chatd
